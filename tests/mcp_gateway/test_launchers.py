"""Commands that fetch what they run: those that name a version are quiet, all others are warned about."""

from __future__ import annotations

import pytest

from mcp_gateway import launchers

DIGEST = "sha256:" + "a" * 64
COMMIT = "b" * 40


@pytest.mark.parametrize(
    "line",
    [
        "npx -y @modelcontextprotocol/server-github",
        "npx -y server@latest",
        "npx server@^1.2.0",
        "npx --package server@next server",
        "npx -p a@1.0.0 -p b run",
        "npx github:owner/repository",
        "bunx server",
        "bun x server",
        "pnpm dlx @scope/server",
        "pnpm --silent dlx server",
        "yarn dlx server@latest",
        "npm exec -- server",
        "uvx mcp-server-git",
        "uvx mcp-server-git@latest",
        "uvx --from mcp-server-git>=1 mcp-server-git",
        "uvx --python 3.12 mcp-server-git",
        "uvx --from git+https://example.org/server.git server",
        "/usr/bin/uvx mcp-server-git",
        "uv tool run mcp-server-git",
        "pipx run server",
        "pipx run --spec server>=2 server",
        "deno run -A npm:server",
        "deno run --allow-net jsr:@scope/server",
        "deno run https://example.org/server.ts",
        "docker run -i --rm mcp/github",
        "docker run -i --rm -e TOKEN mcp/github:latest",
        "docker run -i --rm -e TOKEN mcp/github:1.4.2",
        "podman run -i image:1",
        "docker container run -i image",
    ],
)
def test_what_may_be_another_program_tomorrow_is_warned_about(line: str) -> None:
    command, *args = line.split()

    assert "behind your back" in launchers.warning(command, args)


@pytest.mark.parametrize(
    "line",
    [
        "npx -y @modelcontextprotocol/server-github@2025.4.8",
        "npx server@1.0.0-beta.2",
        "npx --package server@1.2.3 server --verbose",
        "npx ./server",
        f"npx github:owner/repository#{COMMIT}",
        "npx",
        "npx --version",
        "bunx server@1.2.3",
        "bun x server@1.2.3",
        "bun run server.ts",
        "pnpm dlx server@1.2.3",
        "pnpm exec server",
        "yarn dlx @scope/server@1.2.3",
        "npm exec -- server@1.2.3",
        "uvx mcp-server-git==2025.1.14",
        "uvx mcp-server-git@2025.1.14 --repository /srv",
        "uvx --from mcp-server-git==2025.1.14 mcp-server-git",
        f"uvx --from git+https://example.org/server.git@{COMMIT} server",
        "uv tool run --from server==1 server",
        "uv run server.py",
        "pipx run server==1.0",
        "deno run -A npm:server@1.2.3",
        "deno run -A server.ts",
        "deno run -A jsr:@scope/server@1.2.3",
        f"docker run -i --rm -e TOKEN mcp/github@{DIGEST}",
        "docker compose up",
        "python3 server.py",
        "node server.js",
    ],
)
def test_what_names_its_version_or_fetches_nothing_is_not(line: str) -> None:
    command, *args = line.split()

    assert launchers.warning(command, args) == ""


def test_an_image_is_named_by_its_digest() -> None:
    assert "mcp/github:1.4.2" in launchers.warning("docker", ["run", "-i", "mcp/github:1.4.2"])
    assert "digest" in launchers.warning("docker", ["run", "-i", "mcp/github:1.4.2"])
