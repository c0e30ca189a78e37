// A certificate for 127.0.0.1, made without a tool that a machine may lack.
import crypto from "node:crypto";

/** One DER value: its tag, and what is in it. */
function der(tag, ...parts) {
  const body = Buffer.concat(parts);
  const length = body.length < 128 ? [body.length] : body.length < 256 ? [0x81, body.length] : [0x82, body.length >> 8, body.length & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}
const sequence = (...parts) => der(0x30, ...parts);
const oid = (hex) => der(0x06, Buffer.from(hex, "hex"));
const time = (date) => der(0x17, Buffer.from(`${date.toISOString().replace(/[-:T]/g, "").slice(2, 14)}Z`));
const extension = (id, value) => sequence(oid(id), der(0x04, value));

/** A key and a certificate that it has signed itself, both as PEM. */
export function certificate() {
  const { privateKey, publicKey } = crypto.generateKeyPairSync("ec", { namedCurve: "P-256" });
  const ecdsaWithSHA256 = sequence(oid("2a8648ce3d040302"));
  const name = sequence(der(0x31, sequence(oid("550403"), der(0x0c, Buffer.from("127.0.0.1")))));
  const day = 24 * 3600 * 1000;
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))), der(0x02, Buffer.from([1])), ecdsaWithSHA256, name,
    sequence(time(new Date(Date.now() - day)), time(new Date(Date.now() + day))), name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(
      extension("551d11", sequence(der(0x87, Buffer.from([127, 0, 0, 1])))), // for this address
      extension("551d13", sequence(der(0x01, Buffer.from([0xff])))), // an authority
    )),
  );
  const signature = der(0x03, Buffer.from([0]), crypto.sign("sha256", body, privateKey));
  const text = sequence(body, ecdsaWithSHA256, signature).toString("base64").replace(/.{64}/g, "$&\n");
  return { key: privateKey.export({ type: "pkcs8", format: "pem" }), cert: `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n` };
}
