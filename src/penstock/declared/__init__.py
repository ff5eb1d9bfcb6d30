"""What operators declare: one document of channels, prices, groups, and the rest, compared with what there is, and
applied; written out again; and made of other gateways' own."""
