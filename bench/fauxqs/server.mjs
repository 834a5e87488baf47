// A fast local queue, only on loopback; fauxqs's own program listens on every interface. Prints its port to stdout.
import { buildApp } from "fauxqs";

const app = buildApp({ logger: false });
await app.listen({ host: "127.0.0.1", port: 0 });
console.log(app.server.address().port);
