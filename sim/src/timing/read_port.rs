//! The read arbiter between LOAD and FETCH: it holds one granted request.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    Load,
    Fetch,
}

/// The request that is offered to the memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Granted {
    pub(crate) reader: Reader,
    pub(crate) words: u32,
    /// First cycle in which the memory sees it.
    pub(crate) offered_from: u64,
}

/// The arbiter.
#[derive(Default)]
pub(crate) struct ReadPort {
    pub(crate) held: Option<Granted>,
}

impl ReadPort {
    /// Who is granted in `cycle`, given when the requests of LOAD and FETCH become valid.
    pub(crate) fn choose(load_from: u64, fetch_from: u64, cycle: u64) -> Option<Reader> {
        if load_from <= cycle {
            Some(Reader::Load)
        } else if fetch_from <= cycle {
            Some(Reader::Fetch)
        } else {
            None
        }
    }

    /// The next cycle in which something can happen here, given when the memory is free.
    pub(crate) fn next(&self, load_from: u64, fetch_from: u64, memory_free_from: u64) -> u64 {
        match self.held {
            Some(granted) => granted.offered_from.max(memory_free_from),
            None => load_from.min(fetch_from),
        }
    }
}
