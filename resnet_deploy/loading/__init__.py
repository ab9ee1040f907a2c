"""From a request and a weights file to a network, with what lies beside the file."""
