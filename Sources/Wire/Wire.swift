// SPDX-License-Identifier: Apache-2.0
// Front door of Wire.

/// Every wire format, both ways, as pure functions between bytes and batches.
package enum Wire {}
