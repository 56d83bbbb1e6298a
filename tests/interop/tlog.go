// Reads what `countenance ledger export` published with the Go project's own transparency log and notes
// (golang.org/x/mod/sumdb: Debian's golang-golang-x-mod-dev), which share no line with ours.
//
//	tlog check FOLDER CASES   opens the checkpoint, authenticates every tile up to it, proves every entry and
//	                          checks the proofs in CASES; says how many as JSON, or what is wrong
//	tlog sign                 a key and a checkpoint of its own, for our side to read
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Cases are proofs that our side made.
type Cases struct {
	Inclusion []struct {
		Size, Index int64
		Root, Leaf  tlog.Hash
		Proof       []tlog.Hash
	}
	Consistency []struct {
		Old, New         int64
		OldRoot, NewRoot tlog.Hash
		Proof            []tlog.Hash
	}
	Witness string // its verifier key
}

// Counts are what was checked.
type Counts struct {
	Size, Tiles, Entries, Inclusion, Consistency, Refused, Kept int
	WitnessTime                                                 uint64
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func insist(good bool, format string, args ...any) {
	if !good {
		must(fmt.Errorf(format, args...))
	}
}

// folder reads tiles: sumdb writes tile/8/<level>/<index> where C2SP writes tile/<level>/<index>.
type folder struct {
	root string
	read map[string]bool
}

func (f folder) Height() int { return 8 }

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		content, err := os.ReadFile(filepath.Join(f.root, path))
		if err != nil {
			return nil, err
		}
		f.read[path] = true
		all = append(all, content)
	}
	return all, nil
}

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "sign" {
		sign()
		return
	}
	insist(len(os.Args) == 4 && os.Args[1] == "check", "usage: tlog check FOLDER CASES | tlog sign")
	root := os.Args[2]
	var cases Cases
	content, err := os.ReadFile(os.Args[3])
	must(err)
	must(json.Unmarshal(content, &cases))

	var counts Counts
	witness := newWitness(cases.Witness, &counts.WitnessTime)
	tree := open(root, "checkpoint", witness)
	counts.Size = int(tree.N)
	tiles := folder{root, map[string]bool{}}
	reader := tlog.TileHashReader(tree, tiles)
	for number, body := range entries(root, tree.N) {
		n := int64(number)
		proof, err := tlog.ProveRecord(tree.N, n, reader)
		must(err)
		must(tlog.CheckRecord(proof, tree.N, tree.Hash, n, tlog.RecordHash(body)))
		counts.Entries++
	}
	for n := int64(1); n <= tree.N; n += 97 {
		old, err := tlog.TreeHash(n, reader)
		must(err)
		proof, err := tlog.ProveTree(tree.N, n, reader)
		must(err)
		must(tlog.CheckTree(proof, tree.N, tree.Hash, n, old))
	}
	kept, err := filepath.Glob(filepath.Join(root, "checkpoints", "*"))
	must(err)
	for _, path := range kept {
		head := open(root, "checkpoints/"+filepath.Base(path), witness)
		hash, err := tlog.TreeHash(head.N, reader)
		must(err)
		insist(hash == head.Hash, "the kept head of size %d is of another tree", head.N)
		counts.Kept++
	}
	checkCases(cases, &counts)
	counts.Tiles = len(tiles.read)
	must(json.NewEncoder(os.Stdout).Encode(counts))
}

// open verifies a note with the log's keys and reads the checkpoint in it.
func open(root, name string, more ...note.Verifier) tlog.Tree {
	lines, err := os.ReadFile(filepath.Join(root, "log.pub"))
	must(err)
	known := more
	for _, line := range strings.Fields(string(lines)) {
		verifier, err := note.NewVerifier(line)
		must(err)
		known = append(known, verifier)
	}
	content, err := os.ReadFile(filepath.Join(root, name))
	must(err)
	opened, err := note.Open(content, note.VerifierList(known...))
	must(err)
	return parse(opened.Text)
}

func parse(text string) tlog.Tree {
	lines := strings.Split(text, "\n")
	insist(len(lines) == 4 && lines[3] == "", "a checkpoint of %d lines", len(lines))
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	hash, err := tlog.ParseHash(lines[2])
	must(err)
	return tlog.Tree{N: size, Hash: hash}
}

// entries reads the bundles: each entry after its length in two bytes.
func entries(root string, size int64) [][]byte {
	var all [][]byte
	for index := int64(0); index*256 < size; index++ {
		tile := tlog.Tile{H: 8, L: -1, N: index, W: 256}
		if left := size - index*256; left < 256 {
			tile.W = int(left)
		}
		path := strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
		content, err := os.ReadFile(filepath.Join(root, path))
		must(err)
		for len(content) > 0 {
			length := int(binary.BigEndian.Uint16(content))
			all = append(all, content[2:2+length])
			content = content[2+length:]
		}
	}
	insist(int64(len(all)) == size, "%d entries where %d should be", len(all), size)
	return all
}

// checkCases accepts our proofs, and none of them once a bit is turned.
func checkCases(cases Cases, counts *Counts) {
	for _, c := range cases.Inclusion {
		must(tlog.CheckRecord(c.Proof, c.Size, c.Root, c.Index, c.Leaf))
		counts.Inclusion++
		for i := range c.Proof {
			c.Proof[i][i%32] ^= 1
			insist(tlog.CheckRecord(c.Proof, c.Size, c.Root, c.Index, c.Leaf) != nil, "a forged proof was accepted")
			c.Proof[i][i%32] ^= 1
			counts.Refused++
		}
	}
	for _, c := range cases.Consistency {
		must(tlog.CheckTree(c.Proof, c.New, c.NewRoot, c.Old, c.OldRoot))
		counts.Consistency++
		for i := range c.Proof {
			c.Proof[i][i%32] ^= 1
			insist(tlog.CheckTree(c.Proof, c.New, c.NewRoot, c.Old, c.OldRoot) != nil, "a forged proof was accepted")
			c.Proof[i][i%32] ^= 1
			counts.Refused++
		}
	}
}

// witnessVerifier checks cosignature/v1 lines (C2SP tlog-cosignature), which x/mod does not know.
type witnessVerifier struct {
	name string
	id   uint32
	key  ed25519.PublicKey
	time *uint64
}

func newWitness(line string, time *uint64) witnessVerifier {
	parts := strings.SplitN(line, "+", 3)
	insist(len(parts) == 3, "no verifier key: %q", line)
	key, err := base64.StdEncoding.DecodeString(parts[2])
	must(err)
	insist(len(key) == 33 && key[0] == 4, "not a witness's key")
	digest := sha256.Sum256([]byte(parts[0] + "\n" + string(key)))
	insist(hex.EncodeToString(digest[:4]) == parts[1], "the key id is wrong")
	return witnessVerifier{parts[0], binary.BigEndian.Uint32(digest[:4]), key[1:], time}
}

func (w witnessVerifier) Name() string    { return w.name }
func (w witnessVerifier) KeyHash() uint32 { return w.id }

func (w witnessVerifier) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	*w.time = binary.BigEndian.Uint64(signature)
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", *w.time, text)
	return ed25519.Verify(w.key, []byte(signed), signature[8:])
}

// sign prints a verifier key and, after an empty line, a checkpoint that its key signed.
func sign() {
	secret, public, err := note.GenerateKey(rand.Reader, "go.example/log")
	must(err)
	signer, err := note.NewSigner(secret)
	must(err)
	hash := tlog.RecordHash([]byte("the only entry"))
	text := fmt.Sprintf("go.example/log\n1\n%s\n", base64.StdEncoding.EncodeToString(hash[:]))
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	must(err)
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s\n\n%s", public, signed)
	_, err = os.Stdout.Write(out.Bytes())
	must(err)
}
