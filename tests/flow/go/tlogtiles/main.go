// Reads a whole log over HTTP, as C2SP tlog-tiles has it, with Go's own x/mod/sumdb: nothing here knows of Isthmus.
//
//	tlogtiles PREFIX VKEY [OLDER-CHECKPOINT]
//
// The environment's KEY, if there is one, goes along as a bearer token. Every entry is hashed and compared with the
// tiles; the root is computed from the entries alone; some records, and the older tree, are proven from tiles.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height, width = 8, 256

type site struct{ prefix, key string }

func main() {
	from := site{strings.TrimSuffix(os.Args[1], "/"), os.Getenv("KEY")}
	if err := check(from, os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(from site, vkey string, older []string) error {
	tree, err := from.checkpoint(vkey)
	if err != nil {
		return err
	}
	proven := tlog.TileHashReader(tree, from)
	if err := entries(from, tree, proven); err != nil {
		return err
	}
	for _, index := range []int64{0, tree.N / 3, tree.N - 1} {
		if err := record(tree, proven, index); err != nil {
			return err
		}
	}
	for _, name := range older {
		if err := consistent(tree, proven, vkey, name); err != nil {
			return err
		}
	}
	fmt.Printf("ok: %d entries\n", tree.N)
	return nil
}

// entries compares every entry with its hash in a tile, and the root that they make with the one that was signed.
func entries(from site, tree tlog.Tree, proven tlog.HashReader) error {
	indexes := make([]int64, tree.N)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, int64(i))
	}
	hashes, err := proven.ReadHashes(indexes)
	if err != nil {
		return err
	}
	var stored []tlog.Hash
	own := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			found[i] = stored[index]
		}
		return found, nil
	})
	for start := int64(0); start < tree.N; start += width {
		count := min(width, tree.N-start)
		data, err := from.get("tile/entries/" + number(start/width, count))
		if err != nil {
			return err
		}
		for i := start; i < start+count; i++ {
			if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
				return fmt.Errorf("entry %d is cut off", i)
			}
			end := 2 + int(binary.BigEndian.Uint16(data))
			if tlog.RecordHash(data[2:end]) != hashes[i] {
				return fmt.Errorf("entry %d does not fit its tile", i)
			}
			more, err := tlog.StoredHashesForRecordHash(i, hashes[i], own)
			if err != nil {
				return err
			}
			stored = append(stored, more...)
			data = data[end:]
		}
		if len(data) != 0 {
			return fmt.Errorf("something follows entry %d", start+count-1)
		}
	}
	root, err := tlog.TreeHash(tree.N, own)
	if err == nil && root != tree.Hash {
		err = fmt.Errorf("the entries do not lead to the signed root")
	}
	return err
}

func record(tree tlog.Tree, proven tlog.HashReader, index int64) error {
	proof, err := tlog.ProveRecord(tree.N, index, proven)
	if err != nil {
		return err
	}
	leaf, err := proven.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf[0])
}

func consistent(tree tlog.Tree, proven tlog.HashReader, vkey, name string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	old, err := open(data, vkey)
	if err != nil {
		return err
	}
	proof, err := tlog.ProveTree(tree.N, old.N, proven)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash)
}

func (s site) checkpoint(vkey string) (tlog.Tree, error) {
	data, err := s.get("checkpoint")
	if err != nil {
		return tlog.Tree{}, err
	}
	return open(data, vkey)
}

func open(data []byte, vkey string) (tree tlog.Tree, err error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tree, err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != verifier.Name() {
		return tree, fmt.Errorf("a checkpoint of %s", lines[0])
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tree, fmt.Errorf("a root of %d bytes: %v", len(root), err)
	}
	copy(tree.Hash[:], root)
	return tree, nil
}

// Height, ReadTiles and SaveTiles make a site a tlog.TileReader.
func (s site) Height() int { return height }

func (s site) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	read := make([][]byte, len(tiles))
	for i, tile := range tiles {
		data, err := s.get(fmt.Sprintf("tile/%d/%s", tile.L, number(tile.N, int64(tile.W))))
		if err != nil {
			return nil, err
		}
		read[i] = data
	}
	return read, nil
}

func (s site) SaveTiles([]tlog.Tile, [][]byte) {}

func (s site) get(path string) ([]byte, error) {
	request, err := http.NewRequest("GET", s.prefix+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	if s.key != "" {
		request.Header.Set("Authorization", "Bearer "+s.key)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s %s", path, response.Status, data)
	}
	return data, err
}

// number is a tile's place in its level, and its width where it is partial: x001/x234/067.p/8.
func number(n, count int64) string {
	text := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		text = fmt.Sprintf("x%03d/%s", n%1000, text)
	}
	if count != width {
		text += fmt.Sprintf(".p/%d", count)
	}
	return text
}

func min(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}
