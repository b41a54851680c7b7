"""Wire formats to and from the frozen values of ``isthmus.messages``. Pure: bytes in, values out, and back."""
