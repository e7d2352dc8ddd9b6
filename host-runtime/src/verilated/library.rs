//! One instance of a verilated model in a shared library, behind a safe interface.
//!
//! The library is never unloaded: it registers destructors of thread-local values, which must outlive every thread.

#![expect(
    unsafe_code,
    reason = "a verilated model is C++: loading it and touching its ports needs raw pointers"
)]

use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_void};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use libloading::{Library, Symbol};

use super::shim::ABI;

/// A shared library that cannot be used as a model; the machine's or the cache's fault.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum LoadError {
    /// The dynamic linker refuses it.
    #[error("cannot load the verilated model `{path}`: {reason}", path = path.display())]
    #[diagnostic(code(rtl::load), help("remove the file, it is built again"))]
    Library {
        /// The library.
        path: PathBuf,
        /// What the linker says.
        reason: String,
    },
    /// The design has no such port, or of another kind.
    #[error("the design has no {what} `{name}`")]
    #[diagnostic(
        code(rtl::port),
        help("the top module for simulation is `tilewright_core`, its ports are fixed")
    )]
    Missing {
        /// `port` or `memory`.
        what: &'static str,
        /// Its name.
        name: String,
    },
}

type New = unsafe extern "C" fn() -> *mut c_void;
type OnInstance = unsafe extern "C" fn(*mut c_void);
type Find =
    unsafe extern "C" fn(*mut c_void, *const c_char, *mut u32, *mut u32, *mut u64) -> *mut c_void;

/// The functions of one loaded library.
#[derive(Clone, Copy)]
struct Functions {
    new: New,
    delete: OnInstance,
    eval: OnInstance,
    find: Find,
}

/// A handle to a port or memory of the [`Model`] that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port(usize);

/// A place inside the instance that is `bytes` long and lives as long as the instance.
struct Place {
    at: NonNull<u8>,
    bits: u32,
    bytes: usize,
    words: usize,
}

/// One instance of a verilated design.
pub struct Model {
    functions: Functions,
    instance: NonNull<c_void>,
    places: Vec<Place>,
}

// SAFETY: an instance has its own context and refers to no thread-local state between calls; `&mut self` on everything
// that changes it keeps two threads from being inside at once.
unsafe impl Send for Model {}

impl Model {
    /// Makes an instance of the model in the shared library at `path`.
    ///
    /// # Errors
    /// [`LoadError::Library`].
    pub fn load(path: &Path) -> Result<Model, LoadError> {
        let functions = functions(path)?;
        // SAFETY: `new` is the shim's constructor, which has no preconditions.
        let instance = unsafe { (functions.new)() };
        let instance = NonNull::new(instance).ok_or_else(|| LoadError::Library {
            path: path.to_owned(),
            reason: "it makes no instance".to_owned(),
        })?;
        Ok(Model {
            functions,
            instance,
            places: Vec::new(),
        })
    }

    /// Lets the design settle for the inputs that were set.
    pub fn eval(&mut self) {
        // SAFETY: `instance` came from `new` of the same library and is deleted only in `drop`.
        unsafe { (self.functions.eval)(self.instance.as_ptr()) }
    }

    /// The port `name`, which must have `bits` bits.
    ///
    /// # Errors
    /// [`LoadError::Missing`].
    pub fn port(&mut self, name: &str, bits: u32) -> Result<Port, LoadError> {
        let missing = || LoadError::Missing {
            what: "port",
            name: format!("{name}[{}:0]", bits - 1),
        };
        let place = self
            .find(name)
            .filter(|p| p.words == 0 && p.bits == bits)
            .ok_or_else(missing)?;
        self.places.push(place);
        Ok(Port(self.places.len() - 1))
    }

    /// The public memory at the hierarchical `name`, with words of `bits` bits, and its number of words.
    ///
    /// # Errors
    /// [`LoadError::Missing`].
    pub fn memory(&mut self, name: &str, bits: u32) -> Result<(Port, usize), LoadError> {
        let missing = || LoadError::Missing {
            what: "memory",
            name: name.to_owned(),
        };
        // Words of 24 or 40 bits lie in more bytes than they have; no design needs them.
        let whole = |p: &Place| p.bits == bits && p.words * bits as usize == p.bytes * 8;
        let place = self
            .find(name)
            .filter(|p| p.words > 0 && whole(p))
            .ok_or_else(missing)?;
        let words = place.words;
        self.places.push(place);
        Ok((Port(self.places.len() - 1), words))
    }

    /// The value of a port of at most 64 bits; the low 64 bits of a wider one.
    #[inline]
    pub fn get(&self, port: Port) -> u64 {
        let place = &self.places[port.0];
        let at = place.at.as_ptr();
        // SAFETY: `at` points to `bytes` bytes inside the live instance, aligned for the integer type of that size,
        // as the shim's `sizeof` and `&` say.
        unsafe {
            match place.bytes {
                1 => u64::from(*at),
                2 => u64::from(*at.cast::<u16>()),
                4 => u64::from(*at.cast::<u32>()),
                8.. => at.cast::<u64>().read_unaligned(),
                _ => 0,
            }
        }
    }

    /// Sets a port of at most 64 bits to the low bits of `value`.
    #[inline]
    pub fn set(&mut self, port: Port, value: u64) {
        let place = &self.places[port.0];
        let at = place.at.as_ptr();
        let value = if place.bits < 64 {
            value & ((1 << place.bits) - 1)
        } else {
            value
        };
        // SAFETY: as in `get`; `&mut self` makes this the only access. Bits above the port's width are 0.
        unsafe {
            match place.bytes {
                1 => *at = value as u8,
                2 => *at.cast::<u16>() = value as u16,
                4 => *at.cast::<u32>() = value as u32,
                8.. => at.cast::<u64>().write_unaligned(value),
                _ => {}
            }
        }
    }

    /// The bytes of a port or memory, least significant first; a port's last bytes may be padding.
    #[inline]
    pub fn bytes(&self, port: Port) -> &[u8] {
        let place = &self.places[port.0];
        // SAFETY: `at` points to `bytes` initialised bytes inside the live instance, and `&self` keeps `eval` out.
        unsafe { std::slice::from_raw_parts(place.at.as_ptr(), place.bytes) }
    }

    /// As [`Model::bytes`], to change them. Bits above the port's width must stay 0.
    #[inline]
    pub fn bytes_mut(&mut self, port: Port) -> &mut [u8] {
        let place = &self.places[port.0];
        // SAFETY: as in `bytes`, with `&mut self` as proof that nothing else looks.
        unsafe { std::slice::from_raw_parts_mut(place.at.as_ptr(), place.bytes) }
    }

    fn find(&self, name: &str) -> Option<Place> {
        let name = CString::new(name).ok()?;
        let (mut bits, mut words, mut bytes) = (0, 0, 0);
        // SAFETY: `instance` is live, `name` ends with a zero byte, and the three pointers are valid for the call.
        let at = unsafe {
            (self.functions.find)(
                self.instance.as_ptr(),
                name.as_ptr(),
                &raw mut bits,
                &raw mut words,
                &raw mut bytes,
            )
        };
        let at = NonNull::new(at.cast::<u8>())?;
        Some(Place {
            at,
            bits,
            bytes: usize::try_from(bytes).ok()?,
            words: words as usize,
        })
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: `instance` came from `new` of the same library, and no place is used after this.
        unsafe { (self.functions.delete)(self.instance.as_ptr()) }
    }
}

/// Loads the library at `path`, once per process.
fn functions(path: &Path) -> Result<Functions, LoadError> {
    static LOADED: Mutex<BTreeMap<PathBuf, Functions>> = Mutex::new(BTreeMap::new());
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(functions) = loaded.get(path) {
        return Ok(*functions);
    }
    let fault = |reason: String| LoadError::Library {
        path: path.to_owned(),
        reason,
    };
    // SAFETY: the library was built by `build` from our own shim and Verilator's code, whose initialisers only
    // construct its own globals; it is looked up by absolute path.
    let library = unsafe { Library::new(path) }.map_err(|e| fault(e.to_string()))?;
    // SAFETY: the shim defines `tw_abi` with this type; the other types belong to this number.
    let abi = unsafe {
        let abi: Symbol<unsafe extern "C" fn() -> u32> =
            library.get(b"tw_abi\0").map_err(|e| fault(e.to_string()))?;
        abi()
    };
    if abi != ABI {
        return Err(fault(format!(
            "its interface is version {abi}, this is {ABI}"
        )));
    }
    // SAFETY: with this interface version the shim defines all four with these types, and the library stays loaded.
    let functions = unsafe {
        Functions {
            new: *library.get(b"tw_new\0").map_err(|e| fault(e.to_string()))?,
            delete: *library
                .get(b"tw_delete\0")
                .map_err(|e| fault(e.to_string()))?,
            eval: *library
                .get(b"tw_eval\0")
                .map_err(|e| fault(e.to_string()))?,
            find: *library
                .get(b"tw_find\0")
                .map_err(|e| fault(e.to_string()))?,
        }
    };
    std::mem::forget(library);
    loaded.insert(path.to_owned(), functions);
    Ok(functions)
}
