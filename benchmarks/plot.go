package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"slices"
	"strings"
)

// writeSVG draws each row's ratio as a bar on a logarithmic scale: to the right of the line
// Sideman is ahead.
func (r *report) writeSVG(path string) error {
	const width, line, left, top = 900, 24, 330, 46
	var b strings.Builder
	rows := slices.DeleteFunc(slices.Clone(r.Rows), func(r *row) bool { return r.Alone })
	height := top + line*len(rows) + 20
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="13">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="10" y="20" font-size="15">How many times better Sideman is than its peer (median of %d runs)</text>`+"\n", r.Runs)
	scale := float64(width-left-150) / 3 // to a thousand times
	for i, row := range rows {
		y := top + line*i
		better := row.ratio()
		if row.Low && better > 0 {
			better = 1 / better
		}
		x := 0.0
		if better > 0 {
			x = max(min(math.Log10(better), 3), -0.3) * scale
		}
		colour := "#2a7f62"
		if x < 0 {
			colour = "#b5483a"
		}
		fmt.Fprintf(&b, `<text x="10" y="%d">%s</text>`+"\n", y+15, html.EscapeString(row.On+": "+row.Scenario))
		fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", left+min(x, 0), y+2, max(math.Abs(x), 1), line-6, colour)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s ×</text>`+"\n", left+max(x, 0)+6, y+15, figure(better))
	}
	fmt.Fprintf(&b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="black"/>`+"\n</svg>\n", left, top-6, left, height-14)
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
