// SPDX-License-Identifier: Apache-2.0
// Front door of LogStore.

/// Heads, columns, part layout and index of logs.
package enum LogStore {}
