// SPDX-License-Identifier: Apache-2.0
// The executable.

import ArgumentParser
import Base

@main
struct Tern: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tern", abstract: "Metrics, logs and traces in one binary.",
        version: Base.version)
}
