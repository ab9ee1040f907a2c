"""Work in other processes: how they are started, asked, ended, and interrupted."""
