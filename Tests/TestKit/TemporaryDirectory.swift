// SPDX-License-Identifier: Apache-2.0
// A real directory for one test.

import FoundationEssentials

/// Calls `body` with the path of a fresh directory and removes it afterwards.
package func withTemporaryDirectory<R>(
    _ body: (String) async throws -> R
) async throws -> R {
    let path =
        FileManager.default.temporaryDirectory.path() + "tern-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    let result: Result<R, any Error>
    do { result = .success(try await body(path)) } catch { result = .failure(error) }
    try FileManager.default.removeItem(atPath: path)
    return try result.get()
}
