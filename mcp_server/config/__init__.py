"""What each MCP host wants written where, as one table, and `config`, which prints it or writes it there.

    table     the hosts (apps, editors): files, keys, shapes, secrets, what each was checked against
    hosts     what a row of it is; parts: what rows share
    places    where a host's file is on this machine; which hosts are here
    launch    the command that starts this program from anywhere
    shapes    a host's entry and a whole file, from the table
    edits     what has to change in a file that is there
    jsonc, toml, yaml    reading, changing and rendering a text, all else in it left as it is
    masked    a difference without anybody's secrets
    files     reading and replacing a file safely
    command   the command itself

`client_configs/` is generated from the same table.
"""
