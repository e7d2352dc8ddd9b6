//! The nouns: network, arch, mapping, program, instruction set; parse, print, validate, reference meaning.
