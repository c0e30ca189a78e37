// Texts for tests: what models write, and what somebody writes who wants to do harm.

/** Spellings of addresses that must not become links. */
export const badAddresses = [
  "javascript:alert(1)", "JaVaScRiPt:alert(1)", " javascript:alert(1)", "javascript&colon;alert(1)", "javascript&#58;alert(1)",
  "&#106;avascript:alert(1)", "java&#10;script:alert(1)", "java&Tab;script:alert(1)", "\u0001javascript:alert(1)",
  "vbscript:msgbox(1)", "data:text/html,<script>alert(1)</script>", "data:image/svg+xml,<svg onload=alert(1)>",
  "data:image/png;base64,AAAA", "file:///etc/passwd", "blob:https://a/1", "//evil.example/x", "/api/v1/auth/logout", "x.html",
  "https:javascript:alert(1)", "https://user:word@evil.example/", "https://good.example@evil.example/", "tel:1", "ftp://a/b",
];

const svg = `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script><image href="https://evil.example/1"/></svg>`;

/** Texts that have broken other pages, or might break this one. */
export const hostile: Record<string, string> = {
  "nested quotations": ">".repeat(2000) + " x",
  "emphasis without end": "_a__".repeat(5000),
  "stars without end": "**a ".repeat(5000),
  "brackets": "[".repeat(5000) + "](".repeat(2000),
  "pictures in pictures": "![".repeat(3000),
  "dollars": "$a ".repeat(5000),
  "ticks": Array.from({ length: 300 }, (_, i) => "`".repeat(i) + " ").join(""),
  "nested lists": Array.from({ length: 400 }, (_, i) => "  ".repeat(i) + "- x").join("\n"),
  "a wide table": "|" + " a |".repeat(2000) + "\n|" + "---|".repeat(2000) + "\n|" + " b |".repeat(2000) + "\n",
  "a table with missing cells": "|" + "a|".repeat(500) + "\n|" + "-|".repeat(500) + "\n" + "|x\n".repeat(300),
  "addresses": badAddresses.map((a) => `[x](${a}) [y](<${a}>) ![z](${a}) <${a}> ${a}`).join("\n\n"),
  "addresses defined later": badAddresses.map((a, i) => `[x][r${i}]`).join(" ") + "\n\n" + badAddresses.map((a, i) => `[r${i}]: <${a}>`).join("\n"),
  "html": `<script>alert(1)</script>\n\n<img src=x onerror=alert(1)>\n\n<style>*{display:none}</style>\n\na <b onclick="alert(1)">b</b> <!-- c -->\n\n${svg}\n\n<iframe srcdoc="<script>parent.alert(1)</script>">`,
  "svg as code": "```svg\n" + svg + "\n```\n\n```html\n<img src=https://evil.example/2 onerror=alert(1)>\n```",
  "a hostile language": '```"><img src=x onerror=alert(1)>\ncode\n```\n\n```' + "x".repeat(500) + "\ncode\n```",
  "marks of direction": "a\u202eb\u2066c [\u202elink](https://a.example/\u202e) \u2069\n\n```js\nif (a\u202e\u2066 b) {}\n```",
  "formulas": "$\\href{javascript:alert(1)}{x}$ $$\\includegraphics{https://evil.example/3}$$ $\\class{a}{x}$ $\\def\\x{\\x\\x}\\x$ $\\style{color:red}{x}$",
  "an endless formula": "$$\n\\frac{1}{" + "x+".repeat(20000),
  "names of Object": "[__proto__] [constructor] [toString]\n\n[__proto__]: https://a.example\n[constructor]: https://b.example\n",
  "control characters": "a\0b\u0007c\u2028d\u2029e\ufeff\ud800 f\r\rg\r\nh",
  "an open fence": "```js\n" + "let a = 1;\n".repeat(3000),
};

/** Texts as models write them, and corners that have been wrong. */
export const samples: Record<string, string> = {
  "an answer": `Here is **what** I found, in *three* parts:

# First

1. A \`name\` with [a link](https://a.example/x?y=1&z=2), https://b.example/c_d_e, and ~~this~~.
2. Code in a list:

   \`\`\`go
   func main() {
   	fmt.Println("a")
   }
   \`\`\`

   and text behind it
3. - [ ] open
   - [x] done

> A quotation
> of two lines

| Name | Count |
|:-----|------:|
| a    | 1     |
| b \\| c | **2** |

The formula:
$$
\\frac{a}{b}
- c
$$
and \\(x^2\\), \\[ y \\] or $z$, for $5 and $10.

\`\`\`python
def f():
    return "\`\`\`"
\`\`\`

---

![A picture](https://c.example/p.png) and [a reference][later] and [another].

[later]: https://d.example "Title"
[another]:
  https://e.example
  'a title
  of two lines'
`,
  "a fence that does not end": "text\n\n```js\nlet a\n``\n```x\nb",
  "a fence of tildes": "~~~~ md\n```\na\n```\n~~~\n~~~~\nb",
  "an indented fence": "  ```\n  a\n   b\n  ```\nc",
  "a fence in a quotation": "> ```js\n> a\nb\n\n> ```\n> c\n> ```\n",
  "a heading by a line below": "a\nb\n-\nc\n===\nd\n- e\n---\nf",
  "a rule or a list": "a\n\n-\n\n- b\n* c\n* * *\n+ d",
  "a table below text": "text\na | b\n--|--\n1 | 2\n3\n\ntext\n| a | b |\n|---|\n| c |",
  "a table that is none": "a | b\n--|-x\n\n| c |\n| d |\n|",
  "loose and tight": "- a\n- b\n\n- c\n\n\n  d\n\ne\n\n1. f\n\n   g\n2. h",
  "a number that is no list": "2024\n\n2024. a\n\na\n2. b\n1. c",
  "definitions first": "[a]: /x\n[b]: https://b.example\n'title\nthat goes on'\n[c]: https://c.example\n# d\n[a] [b] [c]",
  "definitions twice": "[a] \n\n[a]: https://one.example\n\n- [a]: https://two.example\n\n[a]",
  "definitions in a list": "[a]\n\n> - [a]: https://a.example\n\nb\n\n[a][]",
  "formulas that do not end": "$$\na\n\nb\n\n\\[\nc\n- d\n\n$$e",
  "formulas in blocks": "- $$\n  a\n  $$\n- \\[b\\]\n\n> $$\n> c\n\n| $a$ | \\(b\\) |\n|---|---|\n| $c$ | $$d$$ |",
  "tasks": "- [ ] a\n- [x] b\n\n  c\n- [X]\n- [ ]\td\n- > [ ] e\n- # [ ] f\n1. [ ] g",
  "ends of lines": "a\r\nb\rc\r\n\r\n- d\r\n- e\r\n\r\n```\r\nf\r\n```\r\n",
  "tabs": "-\ta\n\n\tb\n\n\t\tc\n\n>\td",
  "right to left": "שלום **עולם**\n\n- مرحبا\n- a\n",
};
