package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	_ "image/gif"  // decoders register themselves with package image
	_ "image/jpeg" // (the standard library's way, not ours)
	_ "image/png"
	"unicode/utf8"

	"github.com/sideman-go/sideman/tasks"
)

// Analysis is what the task finds out about an upload.
type Analysis struct {
	Kind   string `json:"kind"` // "image", "text" or "binary"
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
	// Of images:
	Format string `json:"format,omitempty"`
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
	// Mean is the mean brightness of an image, 0 to 255.
	Mean int `json:"mean,omitempty"`
	// Of texts:
	Lines int `json:"lines,omitempty"`
	Words int `json:"words,omitempty"`
}

func analyse(content []byte) (Analysis, error) {
	sum := sha256.Sum256(content)
	a := Analysis{Kind: "binary", Bytes: len(content), SHA256: hex.EncodeToString(sum[:])}
	switch img, format, err := image.Decode(bytes.NewReader(content)); {
	case err == nil:
		a.Kind, a.Format = "image", format
		a.Width, a.Height = img.Bounds().Dx(), img.Bounds().Dy()
		a.Mean = brightness(img)
	case !errors.Is(err, image.ErrFormat):
		return a, tasks.NoRetry(fmt.Errorf("a damaged image: %w", err))
	case utf8.Valid(content):
		a.Kind = "text"
		a.Lines = bytes.Count(content, []byte("\n"))
		words := bufio.NewScanner(bytes.NewReader(content))
		words.Buffer(nil, max(len(content), bufio.MaxScanTokenSize))
		words.Split(bufio.ScanWords)
		for words.Scan() {
			a.Words++
		}
		return a, words.Err()
	}
	return a, nil
}

func brightness(img image.Image) int {
	b := img.Bounds()
	var sum, n uint64
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, bl, _ := img.At(x, y).RGBA()
			sum += uint64(299*r+587*g+114*bl) / 1000 >> 8
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return int(sum / n)
}
