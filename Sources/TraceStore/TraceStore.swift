// SPDX-License-Identifier: Apache-2.0
// Front door of TraceStore.

/// Heads, columns, part layout and index of spans.
package enum TraceStore {}
