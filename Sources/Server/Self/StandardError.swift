// SPDX-License-Identifier: Apache-2.0
// Unbuffered standard error: a killed server loses no line.

import Glibc

func writeToStandardError(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
}
