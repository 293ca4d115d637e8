// What a host makes of a manifest: the folder of the unpacked bundle and the person's answers (JSON), as arguments.
import { getMcpConfigForManifest } from "@anthropic-ai/mcpb";
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, sep } from "node:path";

const [extensionPath, answers] = process.argv.slice(2);
const config = await getMcpConfigForManifest({
  manifest: JSON.parse(readFileSync(join(extensionPath, "manifest.json"), "utf-8")),
  extensionPath,
  systemDirs: { HOME: homedir() },
  userConfig: JSON.parse(answers),
  pathSeparator: sep,
});
console.log(JSON.stringify(config));
