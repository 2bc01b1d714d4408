// SPDX-License-Identifier: Apache-2.0
// Front door of MetricStore.

/// Heads, columns, part layout and index of metrics.
package enum MetricStore {}
