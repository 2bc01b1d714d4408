// SPDX-License-Identifier: Apache-2.0
// The server as its operator sees it: starts, ends, crashes.

import FoundationEssentials
import Glibc
import TestKit
import Testing

@Suite struct ServerProcessTests {
    @Test func whatWasAcknowledgedSurvivesAKill() async throws {
        try await withTemporaryDirectory { folder in
            let data = folder + "/data"
            let first = try await ServerProcess.start(data, in: folder)
            try await writeAllSignals(first)
            try await expectAllSignals(first)
            first.program.signal(SIGKILL)
            #expect(try await first.program.wait().code == -SIGKILL)
            let second = try await ServerProcess.start(data, in: folder)
            try await expectAllSignals(second)
            #expect(try await second.stop().code == 0)
        }
    }

    @Test func deletionsSurviveAKill() async throws {
        try await withTemporaryDirectory { folder in
            let data = folder + "/data"
            let flags = ["--web.enable-admin-api"]
            let form = "application/x-www-form-urlencoded"
            let path = "/api/v1/admin/tsdb/"
            let query = "/api/v1/query?query=last_over_time(shop_orders_total%5B1h%5D)"
            let first = try await ServerProcess.start(data, in: folder, flags: flags)
            try await writeAllSignals(first)
            let deleted = try await first.post(
                path + "delete_series", form, Array("match[]=shop_orders_total".utf8))
            #expect(deleted.status == 204, "\(deleted.text)")
            first.program.signal(SIGKILL)
            #expect(try await first.program.wait().code == -SIGKILL)
            let second = try await ServerProcess.start(data, in: folder, flags: flags)
            let gone = try await second.get(query)
            #expect(gone.text.contains("\"result\":[]"), "\(gone.text)")
            // Written after the deletion, at another kill: kept.
            try await writeAllSignals(second)
            second.program.signal(SIGKILL)
            #expect(try await second.program.wait().code == -SIGKILL)
            let third = try await ServerProcess.start(data, in: folder, flags: flags)
            try await expectAllSignals(third)
            let cleaned = try await third.post(path + "clean_tombstones", form, [])
            #expect(cleaned.status == 204, "\(cleaned.text)")
            try await expectAllSignals(third)
            #expect(try await third.stop().code == 0)
            let check = try await tern(["check", "data", data], in: folder)
            #expect(check.code == 0, "\(check.output)")
        }
    }

    @Test func aKillNamesTheQueriesThatRan() async throws {
        try await withTemporaryDirectory { folder in
            let data = folder + "/data"
            let first = try await ServerProcess.start(data, in: folder)
            #expect(!first.program.errors.contains("didn't finish"))
            let query = "sum_over_time(vector(1)[150m:1ms])"
            let running = Task {
                try await first.get("/api/v1/query?query=" + percentEncoded(query))
            }
            var isListed = false
            for _ in 0..<1000 where !isListed {
                let reply = try await first.get("/api/v1/status/active_queries")
                isListed = reply.text.contains(query)
                if !isListed { try await Task.sleep(for: .milliseconds(5)) }
            }
            #expect(isListed)
            first.program.signal(SIGKILL)
            #expect(try await first.program.wait().code == -SIGKILL)
            _ = await running.result
            let second = try await ServerProcess.start(data, in: folder)
            let warning = second.program.errors.split(separator: "\n").first {
                $0.contains("These queries didn't finish in the last run")
            }
            #expect(warning?.contains(query) == true, "\(second.program.errors)")
            #expect(try await second.stop().code == 0)
            let third = try await ServerProcess.start(data, in: folder)
            #expect(!third.program.errors.contains("didn't finish"))
            #expect(try await third.stop().code == 0)
        }
    }

    @Test func listenersDoNotHoldTheStop() async throws {
        try await withTemporaryDirectory { folder in
            let server = try await ServerProcess.start(folder + "/data", in: folder)
            let listening = Task { try await server.get("/api/v1/notifications/live") }
            try await Task.sleep(for: .milliseconds(300))
            let ended = try await server.stop()
            #expect(ended.code == 0)
            #expect(!ended.errors.contains("were cancelled"), "\(ended.errors)")
            let heard = try await listening.value
            #expect(heard.text.contains(": open"), "\(heard.text)")
        }
    }

    @Test func sigtermFlushesEverything() async throws {
        try await withTemporaryDirectory { folder in
            let data = folder + "/data"
            let first = try await ServerProcess.start(data, in: folder)
            try await writeAllSignals(first)
            #expect(try await first.stop().code == 0)
            let check = try await tern(["check", "data", data], in: folder)
            #expect(check.code == 0, "\(check.output)")
            #expect(check.output.contains(" 0 records"), "\(check.output)")
            // Metadata that the server scraped from itself has a part of its own.
            for parts in ["metrics: 2 parts", "logs: 1 parts", "traces: 1 parts"] {
                #expect(check.output.contains(parts), "\(check.output)")
            }
            let second = try await ServerProcess.start(data, in: folder)
            try await expectAllSignals(second)
            #expect(try await second.stop().code == 0)
        }
    }

    @Test func aSecondServerNamesTheFirst() async throws {
        try await withTemporaryDirectory { folder in
            let first = try await ServerProcess.start(folder + "/data", in: folder)
            let second = try await tern(
                [
                    "serve", "--storage.path", folder + "/data", "--web.listen-address",
                    "127.0.0.1:0",
                ],
                in: folder)
            #expect(second.code == 1)
            #expect(
                second.errors.contains("is in use by process \(first.program.process)"),
                "\(second.errors)")
            #expect(!second.errors.contains("listening"))
            let check = try await tern(["check", "data", folder + "/data"], in: folder)
            #expect(check.code == 1)
            #expect(check.errors.contains("is in use by process"), "\(check.errors)")
            #expect(try await first.stop().code == 0)
        }
    }

    @Test func aNewerDirectoryAndAForeignOneAreRefused() async throws {
        try await withTemporaryDirectory { folder in
            let data = folder + "/data"
            try FileManager.default.createDirectory(
                atPath: data, withIntermediateDirectories: true)
            try Data("tern data 99\n".utf8).write(to: URL(filePath: data + "/VERSION"))
            let flags = ["serve", "--web.listen-address", "127.0.0.1:0", "--storage.path"]
            let newer = try await tern(flags + [data], in: folder)
            #expect(newer.code == 1)
            #expect(newer.errors.contains("has format version 99"), "\(newer.errors)")
            #expect(newer.errors.contains("run the newer version"))

            let foreign = folder + "/foreign"
            try FileManager.default.createDirectory(
                atPath: foreign, withIntermediateDirectories: true)
            try Data("mine".utf8).write(to: URL(filePath: foreign + "/thesis.txt"))
            let refused = try await tern(flags + [foreign], in: folder)
            #expect(refused.code == 1)
            #expect(refused.errors.contains("thesis.txt"), "\(refused.errors)")
        }
    }

    @Test func aPortInUseIsAnError() async throws {
        try await withTemporaryDirectory { folder in
            let first = try await ServerProcess.start(folder + "/one", in: folder)
            let second = try await tern(
                [
                    "serve", "--storage.path", folder + "/two", "--web.listen-address",
                    "127.0.0.1:\(first.port)", "--otlp.http-listen-address", "off",
                    "--otlp.grpc-listen-address", "off",
                ], in: folder)
            #expect(second.code == 1)
            #expect(second.errors.contains("in use"), "\(second.errors)")
            #expect(second.errors.contains("\(first.port)"), "\(second.errors)")
            #expect(try await first.stop().code == 0)
        }
    }

    @Test func aFlippedByteIsFoundWithFileAndOffset() async throws {
        try await withTemporaryDirectory { folder in
            let data = folder + "/data"
            let server = try await ServerProcess.start(data, in: folder)
            try await writeAllSignals(server)
            #expect(try await server.stop().code == 0)
            let names = try FileManager.default.contentsOfDirectory(atPath: data + "/parts")
            let name = try #require(names.sorted().first { $0.hasSuffix(".part") })
            let path = data + "/parts/" + name
            let sound = try #require(FileManager.default.contents(atPath: path))
            var missed: [Int] = []
            for offset in stride(from: 0, to: sound.count, by: max(1, sound.count / 8)) {
                var bytes = sound
                bytes[bytes.startIndex + offset] ^= 0x40
                try bytes.write(to: URL(filePath: path))
                let check = try await tern(["check", "data", data], in: folder)
                let names = check.output.contains("FAULT: parts/\(name)")
                if check.code != 1 || !names || !check.output.contains("offset") {
                    missed.append(offset)
                    Issue.record("offset \(offset): \(check.code) \(check.output)")
                }
            }
            #expect(missed.isEmpty)
            try sound.write(to: URL(filePath: path))
            #expect(try await tern(["check", "data", data], in: folder).code == 0)
        }
    }

    @Test func wrongFlagsEndWithTwo() async throws {
        try await withTemporaryDirectory { folder in
            let cases: [([String], String)] = [
                (["serve", "--no-such-flag"], "--no-such-flag"),
                (["serve", "--web.listen-address", "nowhere"], "HOST:PORT"),
                (["serve", "--query.timeout", "soon"], "--query.timeout takes a duration"),
                (["serve", "--memory.limit", "lots"], "--memory.limit takes a size"),
                (["serve", "--enable-feature", "promql-magic"], "does not know promql-magic"),
                (["serve", "--tenancy", "maybe"], "--tenancy takes off or header"),
                (["query", "metrics", "up", "-o", "xml"], "-o takes one of"),
                (["query", "metrics"], "expression"),
                (["nonsense"], "nonsense"),
            ]
            for (arguments, text) in cases {
                let outcome = try await tern(arguments, in: folder)
                #expect(outcome.code == 2, "\(arguments): \(outcome.errors)")
                #expect(outcome.errors.contains(text), "\(arguments): \(outcome.errors)")
            }
            let version = try await tern(["version"], in: folder)
            #expect(version.code == 0)
            #expect(version.output.hasPrefix("tern "))
            #expect(try await tern(["--help"], in: folder).code == 0)
        }
    }
}
