// Checks an export of an audit log with Go's own x/mod/sumdb: nothing here knows of Isthmus.
//
//	tlogcheck VKEY CHECKPOINT FACTS
//
// FACTS is JSON: {"records": [{"index", "entry", "proof"}], "trees": [{"size", "root", "proof"}]}; an entry is base64,
// hashes are hex.
package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type facts struct {
	Records []struct {
		Index int64
		Entry string
		Proof []string
	}
	Trees []struct {
		Size  int64
		Root  string
		Proof []string
	}
}

func main() {
	if err := check(os.Args[1], read(os.Args[2]), read(os.Args[3])); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ok")
}

func check(vkey string, checkpoint, plain []byte) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	opened, err := note.Open(checkpoint, note.VerifierList(verifier))
	if err != nil {
		return err
	}
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return err
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return err
	}
	var given facts
	if err := json.Unmarshal(plain, &given); err != nil {
		return err
	}
	for _, one := range given.Records {
		entry, err := base64.StdEncoding.DecodeString(one.Entry)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(hashes(one.Proof), size, root, one.Index, tlog.RecordHash(entry)); err != nil {
			return fmt.Errorf("record %d: %w", one.Index, err)
		}
	}
	for _, one := range given.Trees {
		if err := tlog.CheckTree(hashes(one.Proof), size, root, one.Size, hashes([]string{one.Root})[0]); err != nil {
			return fmt.Errorf("tree %d: %w", one.Size, err)
		}
	}
	return nil
}

func hashes(texts []string) []tlog.Hash {
	found := make([]tlog.Hash, len(texts))
	for i, text := range texts {
		raw, err := hex.DecodeString(text)
		if err != nil || copy(found[i][:], raw) != tlog.HashSize {
			panic("not a hash: " + text)
		}
	}
	return found
}

func read(name string) []byte {
	data, err := os.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return data
}
