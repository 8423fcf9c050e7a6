// The physical floor of a warm start: one file, one request, by hand.
const { Deno, Bun } = globalThis;
const [file, url] = Deno ? Deno.args : process.argv.slice(2);
const text = Deno
  ? await Deno.readTextFile(file)
  : Bun
  ? await Bun.file(file).text()
  : await (await import("node:fs/promises")).readFile(file, "utf8");
const { access_token, _exp } = JSON.parse(text);
if (Date.now() >= _exp * 1000) throw new Error("expired");
const answer = await fetch(url, { headers: { authorization: `Bearer ${access_token}` } });
console.log(answer.status, (await answer.text()).length);
