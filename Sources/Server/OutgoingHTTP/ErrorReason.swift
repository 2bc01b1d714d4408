// SPDX-License-Identifier: Apache-2.0
// Errors of the network in words.

import Glibc
import NIOCore
import NIOPosix
import NIOSSL

/// An error in words; the libraries describe most of them well enough.
func reason(_ error: any Error) -> String {
    if let error = error as? NIOConnectionError {
        guard let first = error.connectionErrors.first else {
            return "lookup \(error.host): no such host"
        }
        return "dial tcp \(first.target): \(reason(first.error))"
    }
    if let error = error as? IOError {
        return "connect: " + String(cString: strerror(error.errnoCode)).lowercased()
    }
    if let error = error as? NIOSSLError, case .handshakeFailed(let inner) = error {
        return "tls: handshake failed: \(inner)"
    }
    return "\(error)"
}
