// SPDX-License-Identifier: Apache-2.0
// The four ways in which the shop's services write lines.

import Base
import Telemetry

private enum Words {
    static let paths: [StaticString] = [
        "/", "/api/products", "/product/L9ECAV7KIM", "/product/1YMWWN1N4O", "/cart",
        "/static/app.9f3ac1.js", "/api/checkout", "/product/OLJCESPC7Z", "/healthz",
        "/api/recommendations?productIds=0PUK6V6EV0", "/static/img/banner.webp", "/favicon.ico",
    ]
    static let agents: [StaticString] = [
        """
        Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
        Chrome/131.0.0.0 Safari/537.36
        """,
        """
        Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 \
        (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1
        """,
        "kube-probe/1.31", "curl/8.11.0",
    ]
    static let months: [StaticString] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    static let messages: [StaticString] = [
        "request finished", "cache miss, asking the database", "connection taken from the pool",
        "retrying after timeout", "order accepted", "feature flag evaluated",
        "slow query, consider an index", "session refreshed", "payload validated",
    ]
    static let failures: [StaticString] = [
        "upstream answered 503", "context deadline exceeded", "connection refused",
        "card declined by issuer", "deadlock found when trying to get lock",
    ]
    static let classes: [StaticString] = [
        "com.shop.payment.ChargeService", "com.shop.payment.CardClient", "com.shop.http.Filter",
        "com.shop.db.Transactions", "com.shop.fraud.Rules", "com.shop.mail.Sender",
    ]
    static let methods: [StaticString] = [
        "charge", "execute", "doFilter", "invoke", "apply", "commit", "lambda$submit$3",
    ]
    static let exceptions: [StaticString] = [
        "java.net.SocketTimeoutException: Read timed out",
        "java.sql.SQLTransientConnectionException: pool exhausted, request timed out",
        "com.shop.payment.CardDeclinedException: insufficient funds",
        "java.lang.NullPointerException: Cannot invoke \"Order.total()\" because \"order\" is null",
    ]
}

extension [UInt8] {
    fileprivate mutating func appendTime(_ nanos: Int64) {
        let time = CivilTime(unixSeconds: nanos / 1_000_000_000)
        append(number: Int(time.year))
        append("-")
        append(time.month, digits: 2)
        append("-")
        append(time.day, digits: 2)
        append("T")
        append(time.hour, digits: 2)
        append(":")
        append(time.minute, digits: 2)
        append(":")
        append(time.second, digits: 2)
        append(".")
        append(Int(nanos / 1_000_000 % 1000), digits: 3)
        append("Z")
    }
}

extension LogShape {
    /// The combined access log format.
    func appendNginx(_ line: LineFacts, _ chance: inout Chance, to out: inout [UInt8]) {
        out.append("10.42.")
        out.append(number: chance.below(4))
        out.append(".")
        out.append(number: 1 + chance.skewed(250))
        out.append(" - - [")
        let time = CivilTime(unixSeconds: line.nanos / 1_000_000_000)
        out.append(time.day, digits: 2)
        out.append("/")
        out.append(Words.months[time.month - 1])
        out.append("/")
        out.append(number: Int(time.year))
        for part in [time.hour, time.minute, time.second] {
            out.append(":")
            out.append(part, digits: 2)
        }
        out.append(chance.happens(1, in: 9) ? " +0000] \"POST " : " +0000] \"GET ")
        out.append(Words.paths[chance.skewed(Words.paths.count)])
        out.append(" HTTP/1.1\" ")
        out.append(
            number: line.failed ? 502 + chance.below(3) : chance.happens(1, in: 20) ? 404 : 200)
        out.append(" ")
        out.append(number: 180 + chance.skewed(40_000))
        out.append(" \"-\" \"")
        out.append(Words.agents[chance.skewed(Words.agents.count)])
        out.append("\" 0.")
        out.append(chance.skewed(1000), digits: 3)
    }

    func appendJSON(_ line: LineFacts, _ chance: inout Chance, to out: inout [UInt8]) {
        out.append("{\"time\":\"")
        out.appendTime(line.nanos)
        out.append("\",\"level\":\"")
        out.append(line.failed ? "error" : chance.happens(1, in: 12) ? "warn" : "info")
        out.append("\",\"msg\":\"")
        out.append(
            line.failed
                ? Words.failures[chance.skewed(Words.failures.count)]
                : Words.messages[chance.skewed(Words.messages.count)])
        out.append("\",\"http\":{\"method\":\"GET\",\"path\":\"")
        out.append(Words.paths[chance.skewed(Words.paths.count)])
        out.append("\",\"status\":")
        out.append(number: line.failed ? 500 : 200)
        out.append("},\"duration_ms\":")
        out.append(number: 1 + chance.skewed(900))
        out.append(",\"user\":\"u-")
        out.append(number: 10_000 + chance.skewed(80_000))
        if !line.trace.isZero {
            out.append("\",\"trace_id\":\"")
            out.append(line.trace)
            if !line.span.isZero {
                out.append("\",\"span_id\":\"")
                out.appendHex(line.span.rawValue)
            }
        }
        out.append("\"}")
    }

    func appendLogfmt(_ line: LineFacts, _ chance: inout Chance, to out: inout [UInt8]) {
        out.append("ts=")
        out.appendTime(line.nanos)
        out.append(" level=")
        out.append(line.failed ? "error" : chance.happens(1, in: 10) ? "debug" : "info")
        out.append(" caller=")
        out.append(chance.happens(1, in: 2) ? "server.go:" : "store.go:")
        out.append(number: 40 + chance.skewed(300))
        out.append(" msg=\"")
        out.append(
            line.failed
                ? Words.failures[chance.skewed(Words.failures.count)]
                : Words.messages[chance.skewed(Words.messages.count)])
        out.append("\" duration=")
        out.append(number: chance.skewed(400))
        out.append(".")
        out.append(chance.below(1000), digits: 3)
        out.append("ms rows=")
        out.append(number: chance.skewed(500))
        if !line.trace.isZero {
            out.append(" traceID=")
            out.append(line.trace)
        }
    }

    /// Log4j lines; failures have a stack trace of many physical lines in one record.
    func appendJava(_ line: LineFacts, _ chance: inout Chance, to out: inout [UInt8]) {
        out.appendTime(line.nanos)
        out.append(line.failed ? " ERROR [http-nio-8080-exec-" : "  INFO [http-nio-8080-exec-")
        out.append(number: 1 + chance.below(40))
        out.append("] ")
        out.append(Words.classes[chance.skewed(Words.classes.count)])
        if !line.trace.isZero {
            out.append(" trace_id=")
            out.append(line.trace)
        }
        out.append(" - ")
        guard line.failed else {
            out.append(Words.messages[chance.skewed(Words.messages.count)])
            out.append(" order=")
            out.append(number: 100_000 + chance.skewed(900_000))
            return
        }
        out.append("processing failed\n")
        out.append(Words.exceptions[chance.skewed(Words.exceptions.count)])
        for _ in 0..<8 + chance.below(24) {
            out.append("\n\tat ")
            out.append(Words.classes[chance.skewed(Words.classes.count)])
            out.append(".")
            out.append(Words.methods[chance.skewed(Words.methods.count)])
            out.append("(Source.java:")
            out.append(number: 20 + chance.skewed(400))
            out.append(")")
        }
    }
}
