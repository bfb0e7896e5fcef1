package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/conformance/internal/memstore"
)

// render makes the page.
func render(runs []*backendRun) string {
	var b strings.Builder
	b.WriteString(`# Conformance

Made by ` + "`make conformance`" + ` from the verdicts of the suite; don't edit it. How to test a backend of your own is in
[writing-a-backend.md](writing-a-backend.md), what the clauses say is in [contract.md](contract.md).

`)
	b.WriteString("## Backends\n\n| backend | result | passed | unsupported | needs a fault hook | waived | failed | capabilities |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range runs {
		n := tally(r.cases)
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %d | %s |\n", r.backend, r.result,
			n["pass"], n["unsupported"], n["no-fault"], n["waived"], n["fail"]+n[""], strings.ReplaceAll(r.capabilities, ",", ", "))
	}
	b.WriteString(`
A case is unsupported where it needs a capability that the backend doesn't declare; that the backend refuses it is a case as well.

## Clauses

Passed cases of those that apply. ` + "`–`" + `: no case of the clause applies to the backend.

| clause |`)
	for _, r := range runs {
		b.WriteString(" " + r.backend + " |")
	}
	b.WriteString("\n| --- |" + strings.Repeat(" --- |", len(runs)) + "\n")
	for _, clause := range clauses(runs) {
		b.WriteString("| " + clause + " |")
		for _, r := range runs {
			b.WriteString(" " + cell(r.cases, clause) + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n## Cases\n\n| case | clauses | fails if not |\n| --- | --- | --- |\n")
	for _, c := range conformance.Cases() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", c.Name, strings.Join(c.Clauses, " "), strings.ReplaceAll(c.What, "|", `\|`))
	}
	b.WriteString(`
## Faults

The suite is tested by stores with one fault each: every case that is named here fails for that fault, and a test proves it.

| fault | what goes wrong | caught by |
| --- | --- | --- |
`)
	for _, f := range memstore.Faults() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", f.Name, strings.ReplaceAll(f.Doc, "|", `\|`), strings.Join(f.Caught, ", "))
	}
	return b.String()
}

func tally(cases []caseVerdict) map[string]int {
	n := make(map[string]int)
	for _, c := range cases {
		n[c.verdict]++
	}
	return n
}

// cell sums a clause up for one backend.
func cell(cases []caseVerdict, clause string) string {
	pass, apply, waived := 0, 0, 0
	for _, c := range cases {
		if !slices.Contains(c.clauses, clause) {
			continue
		}
		switch c.verdict {
		case "pass":
			pass++
			apply++
		case "waived":
			waived++
			apply++
		case "unsupported", "no-fault":
		default:
			apply++
		}
	}
	switch {
	case apply == 0:
		return "–"
	case pass == apply:
		return "✓ " + strconv.Itoa(pass)
	case pass+waived == apply:
		return fmt.Sprintf("%d of %d, %d waived", pass, apply, waived)
	}
	return fmt.Sprintf("✗ %d of %d", pass, apply)
}

// clauses lists the clauses in the order of the contract.
func clauses(runs []*backendRun) []string {
	seen := make(map[string]bool)
	var all []string
	for _, r := range runs {
		for _, c := range r.cases {
			for _, clause := range c.clauses {
				if !seen[clause] {
					seen[clause] = true
					all = append(all, clause)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int {
		la, na := split(a)
		lb, nb := split(b)
		return cmp.Or(cmp.Compare(chapter(la), chapter(lb)), cmp.Compare(na, nb))
	})
	return all
}

func split(clause string) (letters string, number int) {
	i := strings.IndexAny(clause, "0123456789")
	if i < 0 {
		return clause, 0
	}
	number, _ = strconv.Atoi(clause[i:])
	return clause[:i], number
}

func chapter(letters string) int {
	return slices.Index([]string{"CAP", "V", "E", "R", "W", "T", "K", "I", "C", "F"}, letters)
}

// summary is what a terminal shows.
func summary(runs []*backendRun) string {
	var lines []string
	for _, r := range runs {
		n := tally(r.cases)
		lines = append(lines, fmt.Sprintf("%-10s %-8s %3d passed, %3d unsupported, %d without fault hook, %d waived, %d failed",
			r.backend, r.result, n["pass"], n["unsupported"], n["no-fault"], n["waived"], n["fail"]+n[""]))
	}
	return strings.Join(lines, "\n")
}
