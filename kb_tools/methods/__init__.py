"""The files of implementations/ as the records see them: anchors, imports, facts, and the templates of a new one."""
