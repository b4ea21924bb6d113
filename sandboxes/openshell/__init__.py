"""What Logos decides, said in OpenShell's words: its policy document. The driver that hands it over comes later."""
