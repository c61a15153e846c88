// Bundles the page into ../src/spprof/export/_report/: report.js and report.css. The same sources give the same bytes.
import { build } from "esbuild";

const common = {
  bundle: true,
  minify: true,
  charset: "ascii",
  legalComments: "none",
  target: ["es2022", "chrome100", "firefox113", "safari16.4"],
  logLevel: "warning",
};
const out = new URL("../src/spprof/export/_report/", import.meta.url).pathname;
await build({ ...common, entryPoints: ["src/main.ts"], format: "iife", outfile: out + "report.js" });
await build({ ...common, entryPoints: ["src/page.css"], outfile: out + "report.css" });
