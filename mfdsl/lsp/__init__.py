"""The language server: what editors ask about a spec. Needs the extra `lsp`."""
