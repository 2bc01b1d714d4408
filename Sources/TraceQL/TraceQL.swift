// SPDX-License-Identifier: Apache-2.0
// Front door of TraceQL.

/// Parser and evaluation of span searches.
package enum TraceQL {}
