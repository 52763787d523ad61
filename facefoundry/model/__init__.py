"""The Original model of FF++: `architecture` has its sizes, `network` trains, `swap` converts, `weights` stores."""
