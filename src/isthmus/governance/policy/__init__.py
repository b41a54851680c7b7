"""Policy as code: Cedar rules decide which models may see a text. ``folder.PolicyFolder`` is the way in."""
