"""The composition of the apps into one site: settings, URLs and the command that runs it all."""
