# SPDX-License-Identifier: Apache-2.0
"""imports: a function that imports much more than a call uses, as functions come to do.

  {"rows": count, "seed": number, "input": size}

Small: a table through csv, and its statistics. Large: more rows, as XML, mail and a zip archive
too, with numpy's Fourier transform and decimal fractions: other modules of those imported.
"""

# ruff: noqa: F401
import argparse
import ast
import asyncio
import base64
import bisect
import calendar
import cmath
import concurrent.futures
import configparser
import copy
import csv
import dataclasses
import datetime
import decimal
import difflib
import email.message
import email.parser
import email.policy
import enum
import fileinput
import fractions
import ftplib
import functools
import getopt
import gettext
import glob
import gzip
import hashlib
import heapq
import html.parser
import http.client
import http.cookiejar
import http.server
import imaplib
import inspect
import io
import ipaddress
import itertools
import json
import locale
import logging
import logging.handlers
import mimetypes
import multiprocessing
import operator
import optparse
import pathlib
import pickle
import pickletools
import platform
import plistlib
import poplib
import pprint
import profile
import queue
import random
import sched
import selectors
import shelve
import shlex
import smtplib
import socketserver
import statistics
import string
import subprocess
import tarfile
import tempfile
import textwrap
import threading
import timeit
import tokenize
import tracemalloc
import typing
import urllib.parse
import urllib.request
import urllib.robotparser
import wave
import xml.dom.minidom
import xml.etree.ElementTree
import xml.sax
import xmlrpc.client
import zipfile
import zoneinfo

import numpy
import numpy.fft
import numpy.linalg
import numpy.ma
import numpy.polynomial

from . import is_large, number

ROWS_DEFAULT = 800
ROWS_LARGE = 1600
ROWS_MAX = 100_000
PLACES = ("Accra", "Bergen", "Cusco", "Dakar", "Essen", "Fukuoka", "Galway", "Hanoi")
FIRST_DAY = datetime.date(2001, 1, 1)


def make_rows(rows: int, seed: int) -> list[tuple[str, str, int]]:
    """Day, place and reading."""
    source = random.Random(seed)
    return [
        (
            (FIRST_DAY + datetime.timedelta(days=row // len(PLACES))).isoformat(),
            PLACES[row % len(PLACES)],
            source.randrange(-400, 4000),
        )
        for row in range(rows)
    ]


def summarize(table: list[tuple[str, str, int]]) -> str:
    """The table through csv and back, and figures of each place."""
    file = io.StringIO()
    csv.writer(file).writerows(table)
    file.seek(0)
    places: dict[str, list[int]] = {}
    for _, place, reading in csv.reader(file):
        places.setdefault(place, []).append(int(reading))
    figures = {
        place: (statistics.median(of), heapq.nlargest(3, of), int(numpy.array(of).sum()))
        for place, of in sorted(places.items())
    }
    return pprint.pformat(figures)


def report(table: list[tuple[str, str, int]]) -> str:
    """The table as XML, in a mail, in an archive, read again from there; and its spectrum."""
    root = xml.etree.ElementTree.Element("readings")
    for day, place, reading in table:
        xml.etree.ElementTree.SubElement(root, "reading", day=day, place=place).text = str(reading)
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["Subject"] = string.Template("Readings of $count").substitute(count=len(table))
    message.set_content("The readings are attached.")
    message.add_attachment(
        xml.etree.ElementTree.tostring(root), "application", "xml", filename="readings.xml"
    )
    message.set_boundary("readings")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("mail", message.as_bytes())
    with zipfile.ZipFile(archive) as file:
        read = email.parser.BytesParser(policy=email.policy.SMTP).parsebytes(file.read("mail"))
    (attachment,) = read.iter_attachments()
    parsed = xml.etree.ElementTree.fromstring(attachment.get_content())
    readings = [int(element.text or "") for element in parsed]
    # In whole tens of thousands: a machine's floating point may differ in the last digits.
    spectrum = numpy.rint(numpy.abs(numpy.fft.rfft(numpy.array(readings, float))) / 1e4)
    mean = decimal.Decimal(sum(readings)) / max(len(readings), 1)
    share = fractions.Fraction(sum(reading > 0 for reading in readings), max(len(readings), 1))
    return f"{attachment.get_filename()} {readings} {spectrum.tolist()} {mean} {share}"


def answer(request: dict) -> dict:
    large = is_large(request)
    rows = number(request, "rows", ROWS_LARGE if large else ROWS_DEFAULT, ROWS_MAX)
    table = make_rows(rows, int(request.get("seed", 1)))
    result = summarize(table)
    if large and table:
        result += report(table)
    return {"rows": rows, "sha256": hashlib.sha256(result.encode()).hexdigest()}
