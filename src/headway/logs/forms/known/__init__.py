"""Forms of lines that are known whole: of one tool, one framework, one much-copied loop."""
