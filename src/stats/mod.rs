//! What is measured: events of the actors go into one [`recorder::Recorder`] per worker, which
//! keeps the books, the histograms and the per-second series; snapshots of workers merge.

pub mod books;
pub mod event;
pub mod evidence;
pub mod histogram;
pub mod input_log;
pub mod lines;
pub mod recorder;
pub mod results;
pub mod series;
