// SPDX-License-Identifier: Apache-2.0
// The laboratory: load, crash loops and benchmarks.

import ArgumentParser

@main
struct Lab: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lab", abstract: "Load, crash and benchmark a server.")
}
