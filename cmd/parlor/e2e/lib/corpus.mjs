// A large corpus of packets, the same for the same seed.

const words = [
  "message", "e", "", "a b", "héllo", "🙂\u2028", '"\\/\b\f\n\r\t\u0000\u001f\u007f', "<&>'", "__proto__", "constructor", "toString",
  "_placeholder", "num", "error", "1", "[", "{}", ",", "b64", "connected", "\ufeff", "\u001e",
];
const numbers = [0, -0, 1, -1, 7, 456, 0.5, -1.5e-7, 1e21, 1e308, 5e-324, Number.MAX_SAFE_INTEGER, 2 ** 53, -(2 ** 63), 0.1 + 0.2];
const namespaces = ["/", "/", "/", "/custom", "/a-b_c", "/héllo", "/1", "/a/b?c=d", "/[", '/"'];

export const bytes = (random) => Buffer.from(random.list(8, () => random.below(256)));

/** Any value that JSON can say, and with binary also buffers in it. */
function value(random, binary, depth = 0) {
  const kind = random.below(depth > 3 ? 5 : 9);
  switch (kind) {
    case 0: return random.pick(numbers) + 0; // JSON knows no -0
    case 1: return random.below(1e9);
    case 2: return random.pick([null, true, false]);
    case 3: return random.pick(words);
    case 4: return binary ? bytes(random) : random.pick(words);
    case 5: return random.list(4, () => value(random, binary, depth + 1));
    default: {
      const members = random.list(4, () => [random.pick(words), value(random, binary, depth + 1)]);
      return Object.fromEntries(members.filter(([key]) => key !== "_placeholder" && key !== "__proto__"));
    }
  }
}

/** A valid packet as socket.io-parser has it: BINARY_… is a matter of its contents. */
export function packet(random) {
  const type = random.pick([0, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 4]);
  const p = { type, nsp: random.pick(namespaces) };
  if (type === 3 || (type === 2 && random.below(3) === 0)) p.id = random.pick([0, 1, 456, random.below(2 ** 31), Number.MAX_SAFE_INTEGER]);
  const binary = random.below(3) === 0;
  switch (type) {
    case 0:
      if (random.below(3) > 0) p.data = random.pick([{ sid: "abc" }, { sid: "abc", pid: random.pick(words) || "x" }, { token: random.pick(words), n: 1 }, {}]);
      break;
    case 2: p.data = [random.below(9) === 0 ? random.below(100) : random.pick(words), ...random.list(4, () => value(random, binary))]; break;
    case 3: p.data = random.list(4, () => value(random, binary)); break;
    case 4: p.data = random.pick([{ message: random.pick(words) || "no" }, { message: "no", data: value(random, false) }, {}, "no"]); break;
  }
  return p;
}

// White space, digits and what a number may consist of: where parsers differ.
const alphabet = [
  ..."0123456789-/,[]{}\":.eE+ \t\n\\_xnulltrue", "\u00a0", "\u2028", "\ufeff", "\u001e", "é", "🙂", "９", '"num":', '"_placeholder":true,', "null", "[[", "]]",
  "\\u005f", "\\ud800", "1e0", "0.0", "99999999999999999999",
];

/** A text with one to three small changes. */
export function mutate(random, text, others) {
  let s = text;
  for (let n = 1 + random.below(3); n > 0; n--) {
    const i = random.below(s.length + 1);
    const j = random.below(3) > 0 ? Math.min(s.length, i + 1 + random.below(4)) : i;
    const other = random.pick(others);
    const insert = random.pick(["", random.pick(alphabet), random.pick(alphabet), s.slice(i, j) + s.slice(i, j), other.slice(random.below(other.length + 1))]);
    s = s.slice(0, i) + insert + s.slice(j);
  }
  return s.toWellFormed();
}

const placeholder = (num) => `51-["e",{"_placeholder":true,"num":${num}}]`;

/** Texts of packets that say something about a decoder, good and bad. */
export const cases = [
  // The conformance suite.
  "0", '0{"token":"123"}', "0/custom,", "0/custom", '0/custom,{"token":"123"}', "0/random", "abc", "1", "1/custom", "1/custom,",
  '2["message",1,"2",{"3":[true]}]', '2456["message-with-ack",1,"2",{"3":[false]}]', '3456[1,"2",{"3":[false]}]',
  '52-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
  '52-789["message-with-ack",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
  '62-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', "2{}", '2abc["message-with-ack",1]',
  // The packets that the tests of the official parser try.
  "", "7", "8", "9", "-1", "2", "3", "4", "5", "51", "5a-", "51.23-", "51.23-[]", "999999", '4"no"', '4{"message":"no"}', "4[]", "40", "0[]", '0"a"', "0null", "1{}",
  "1null", "1false", "2[]", "2null", "2[null]", '2[{"a":1}]', "2[7]", "2[-1.5e3]", "2[1e999]", '2["m"', '2["m"]["n"]', "3{}", "3[]", "31[]", "31{}", "31",
  ...["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener", "error", "constructor"].map((name) => `2["${name}"]`),
  '2["\\u0063onnect"]', '2["\\ud800"]', '2["m","\\ud800"]', '2["m",{"__proto__":{"a":1}}]', '2["m",{"a":1,"a":2}]', '2["m"] ', '2[ "m" , 1 ]\n', "2[1e2]", "2[1.0]",
  '50-["e"]', '60-["e"]', '501-["e"]', '510-["e"]', '511-["e"]', '51e0-["e"]', '50x1-["e"]', '5 1-["e"]', '5+1-["e"]', '5-1-["e"]', '5-["e"]', '51-["e"]', "51-", "61-7", '5１-["e"]',
  ...['0', '1', '10', '-1', '-0', '0.5', '0.0', '0e0', '1e0', '"0"', '"splice"', 'null', 'true', '[0]', '{"a":1}'].map(placeholder),
  '51-["e",{"_placeholder":true}]', '51-["e",{"_placeholder":"true","num":9}]', '51-["e",{"_placeholder":false,"num":9}]', '51-["e",{"num":0,"_placeholder":true,"num":2}]',
  '51-["e",{"_placeholder":true,"num":2,"num":0}]', '51-["e",{"_placeholder":true,"num":9,"_placeholder":1}]', '51-["e",{"\\u005fplaceholder":true,"num":2}]',
  '51-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]', '51-[{"_placeholder":true,"num":0}]', '61-1[{"_placeholder":true,"num":0}]',
  '51-["e",{"_placeholder":true,"num":0,"x":{"_placeholder":true,"num":9}}]', '51-["e",{"__proto__":{"_placeholder":true,"num":0}}]', '51-["e",{"__proto__":{"_placeholder":true,"num":9}}]',
  '2["e",{"_placeholder":true,"num":9}]', '52-/a,7["m",{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}]]',
  // The advisories.
  '59999999-["e"]', '5999999999-["e"]', '2[{"toString":"foo"}]', '2["error"]', `2${"1".repeat(1000)}["e"]`, `2/${"n".repeat(1000)},["e"]`, `5${"1".repeat(1000)}`,
  `5${"1".repeat(1000)}-["e"]`, '29007199254740991["e"]', '29007199254740992["e"]', '39007199254740993[]', `2["m",${"[".repeat(1_000)}${"]".repeat(1_000)}]`,
  `2["m",${"[".repeat(10_001)}${"]".repeat(10_001)}]`, `2["m"${",1".repeat(1023)}]`, `2["m"${",1".repeat(1024)}]`,
  // White space, which JavaScript takes for a zero, and namespaces.
  " ", ' ["e"]', '2 ["e"]', '21 ["e"]', '2 1["e"]', '2\t["e"]', '2\u00a0["e"]', '2\ufeff["e"]', '2/a, ["e"]', '2/,["e"]', "0/", "0/,", "0//,", '2/a["e"]', '2/a,b,["e"]',
  '2/a,-1["e"]', '2-1["e"]', '2.5["e"]', '20["e"]', '200["e"]', '2007["e"]',
];

/** Texts of Engine.IO packets and payloads. */
export const engineCases = [
  "", "0", '0{"sid":"x"}', "1", "2", "2probe", "3", "3probe", "4", "4hello", "4héllo 🙂", "5", "6", "7", "9", "-1", "abc", "/", ":", " 4", "4 ",
  "b", "bAQIDBA==", "bAQIDBA", "bAQID\nBA==", "bAQIDBA==AQ==", "b====", "b?", "bA", "b-_-_", "bAQIDBB==", "b AQ==", "bAQ==\n", "4\u0000", "4b", "__proto__", "constructor",
  "4hello\u001e2\u001ebAQIDBA==\u001e4", "4a\u001e", "\u001e4a", "\u001e", "4a\u001eabc\u001e4b", "4a\u001e1\u001e4b", "1:21:21:2", "100000000:4aaa", "2\u001e2\u001e2", "b=\u001e4a", "4a\u001eb?\u001e4b",
];
