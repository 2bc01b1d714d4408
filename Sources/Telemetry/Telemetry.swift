// SPDX-License-Identifier: Apache-2.0
// Front door of Telemetry: the vocabulary of the product.

/// The words that decoders, stores, engines and endpoints share.
///
/// - Values: `Labels`, `TraceID`, `AttributeValue`, `NativeHistogram`, `LabelMatcher`.
/// - `Batches`: columns of one signal: an arena of bytes plus arrays of integers. Decoders make
///   them, stores keep them, readers return them; there is no object per sample, line or span.
/// - `Reading`: the protocols in which engines ask and stores answer. Engines never import
///   stores and stores never import engines: they meet here.
///
/// Telemetry never does I/O, never reads a clock and knows no wire format.
package enum Telemetry {}
