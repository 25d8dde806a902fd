"""An app as a shop has it: the task functions of the busy site."""
