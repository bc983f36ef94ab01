"""Reports as pages: templates, figures, styles."""
