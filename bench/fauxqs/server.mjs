// A fast local queue on loopback alone: fauxqs's own program listens on every interface. Says its port on stdout.
import { buildApp } from "fauxqs";

const app = buildApp({ logger: false });
await app.listen({ host: "127.0.0.1", port: 0 });
console.log(app.server.address().port);
