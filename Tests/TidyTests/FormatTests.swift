// SPDX-License-Identifier: Apache-2.0
// swift-format's verdict on the whole tree.

import Foundation
import Testing

@Test func sourcesAreFormatted() throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [
        "swift", "format", "lint", "--strict", "-r", "Sources", "Tests", "Package.swift",
    ]
    process.currentDirectoryURL = URL(fileURLWithPath: Repository.root)
    let pipe = Pipe()
    process.standardError = pipe
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "\(text.prefix(4000))")
}
