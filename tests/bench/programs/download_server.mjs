// Sends as many bytes as asked for: /SIZE. Prints its port; ends when it is told anything.
import { createServer } from "node:net";
import process from "node:process";

const block = new Uint8Array(1 << 20).map((_, at) => at * 31 + (at >> 8));
const server = createServer((socket) => {
  socket.on("error", () => {});
  socket.on("data", async (data) => {
    const size = Number(/^GET \/(\d+)/.exec(data.toString("latin1"))?.[1] ?? 0);
    socket.write(
      `HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\netag: "one"\r\ncontent-type: image/tiff\r\n` +
        `content-disposition: attachment; filename="scene.tif"\r\n\r\n`,
    );
    for (let left = size; left > 0 && !socket.destroyed; left -= block.length) {
      if (socket.write(left < block.length ? block.subarray(0, left) : block)) continue;
      await new Promise((resolve) => socket.once("drain", resolve).once("close", resolve));
      socket.removeAllListeners("drain").removeAllListeners("close");
    }
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.once("data", () => process.exit(0));
