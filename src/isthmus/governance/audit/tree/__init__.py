"""The tree and its bytes: RFC 6962 hashing, C2SP tlog-tiles, canonical entries, and the storage that holds them."""
