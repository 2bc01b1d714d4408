// SPDX-License-Identifier: Apache-2.0
// Asking for memory before it is needed.

import CShims

/// Asks the processor for two lines of memory that are about to be written to, so that work on one
/// thing goes on while the next one's memory arrives. Reads nothing: any address will do.
@inline(__always)
package func prefetch(_ first: UnsafeRawPointer, _ second: UnsafeRawPointer) {
    tern_prefetch2(first, second)
}
