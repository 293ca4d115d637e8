"""mcp-server-seedream: an MCP server for ByteDance's Seedream image models, as Novita serves them.

The way of the data, top to bottom; a lower layer never imports an upper one:

    MCP request
      -> stdio, or http: Streamable HTTP and SSE, who may call, what a request may be
      -> server        tools, resources, prompts; a failure becomes a readable tool error here
      -> tools         a call, step by step
      -> schemas       what tools/list publishes
      -> request       the arguments, checked against the documented limits (limits, sizes);
                       what is wrong with them in our words (explain)
      -> references    reference images: URLs, files and data: URIs, checked, made fit, streamed
      -> generations   the ledger, caps, claims; requests that outlive their calls; the emulator
      -> client        one POST, retry policy, the upstream's errors in our terms
      -> HTTP
      -> pictures      the pictures made: saved, previewed, read as resources
      -> results       text, resource links and structured content, each complete alone
      -> MCP result

Beside it: `prompts`, `completions`, `icons`, `settings` (`network_settings` for servers; read by
`environment`), `errors` (everything that can go wrong), `telemetry` (traces and metrics), `progress`
(heartbeats while a call waits), `confirm` (asking the person), `endings` (hosts that leave), `hosts`, `web`
and `sockets` (under the HTTP servers), `platforms` (what differs on Windows and macOS), `view` (an MCP App),
`quirks` (what hosts break on), `cli`, `config` (what each host wants written where), `doctor`, `demo`, and
`emulator`, a stand-in for the upstream that keeps the documented limits as data of its own.
"""

__version__ = "0.1.0"
