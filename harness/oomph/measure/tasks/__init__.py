"""Tasks over a long context: generated, asked, graded by rule, handed out to other graders."""
