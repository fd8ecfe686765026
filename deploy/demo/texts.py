"""This file holds what the demo's customers and agents say: a small shop's day, in Indonesian."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """Why somebody writes. `opening` comes first; after each answer of the agent one of `more`, while there is one left."""

    name: str
    opening: str
    more: tuple[str, ...]
    answers: tuple[str, ...]


TOPICS = (
    Topic(
        "pesanan",
        "Halo kak, pesanan saya {order} kok belum sampai ya? Katanya kemarin sudah dikirim 😔",
        (
            "Kurirnya pakai apa kak?",
            "Bisa tolong dicek posisinya sekarang?",
            "Oke kak, saya tunggu sampai besok ya 🙏",
        ),
        (
            "Pesanan {order} sudah di gudang transit kota Kakak.",
            "Perkiraan tiba besok siang, kurirnya sudah kami hubungi.",
        ),
    ),
    Topic(
        "refund",
        "Min, barang {order} sudah saya kembalikan minggu lalu tapi dana belum masuk juga.",
        ("Saya pakai transfer BCA.", "Berapa hari kerja lagi kira-kira?", "Baik, terima kasih infonya."),
        (
            "Dana untuk {order} sudah kami proses hari ini.",
            "Biasanya 2-3 hari kerja sampai di rekening Kakak.",
        ),
    ),
    Topic(
        "ukuran",
        "Kak, kemeja batik yang motif parang masih ada ukuran XL?",
        ("Kalau warna cokelat ada?", "Lingkar dadanya berapa cm ya?", "Sip, saya ambil satu."),
        ("Ukuran XL masih ada 4 potong.", "Lingkar dadanya 112 cm, bahannya katun primisima."),
    ),
    Topic(
        "rusak",
        "Paketnya datang tapi isinya pecah, gimana dong?? Ini {order}",
        ("Sudah saya foto kak.", "Saya maunya ditukar aja, bukan refund.", "Oke ditunggu penggantinya 👍"),
        (
            "Mohon maaf sekali Kak. Boleh dikirim foto kardusnya?",
            "Penggantinya kami kirim sore ini tanpa biaya.",
        ),
    ),
    Topic(
        "pembayaran",
        "Saya sudah bayar lewat QRIS tapi status {order} masih menunggu pembayaran",
        ("Ini bukti transfernya ya", "Saldo saya sudah terpotong.", "Alhamdulillah sudah masuk, makasih kak"),
        (
            "Pembayarannya sudah kami terima, statusnya kami perbarui.",
            "Silakan dicek lagi dalam beberapa menit.",
        ),
    ),
    Topic(
        "jam buka",
        "Pagi, toko yang di Bandung buka jam berapa hari Minggu?",
        ("Parkir mobil gampang?", "Bisa ambil pesanan online di sana?"),
        ("Hari Minggu buka jam 9 pagi sampai 6 sore.", "Bisa Kak, cukup tunjukkan nomor pesanannya."),
    ),
    Topic(
        "reseller",
        "Kak mau tanya cara jadi reseller, minimal ambil berapa pcs?",
        (
            "Dapat diskon berapa persen?",
            "Kirim ke Makassar ongkirnya ditanggung?",
            "Oke nanti saya kabari lagi.",
        ),
        ("Minimal 12 pcs per model ya Kak.", "Diskonnya 25%, ongkir ditanggung mulai 36 pcs."),
    ),
    Topic(
        "batal",
        "Tolong batalkan {order} ya, saya salah pilih alamat.",
        (
            "Alamat barunya di Jl. Diponegoro 17, Surabaya.",
            "Kalau diganti alamat saja bisa?",
            "Mantap, makasih 🙏🙏",
        ),
        ("Belum dikirim, jadi masih bisa kami ubah.", "Alamatnya sudah kami ganti."),
    ),
)

GREETINGS = (
    "Halo Kak {name}, saya {agent} dari Toko Nusantara.",
    "Selamat siang Kak {name}, dengan {agent}.",
)
CLOSINGS = ("Ada lagi yang bisa kami bantu?", "Terima kasih sudah menghubungi kami 🙏")
TICKET = " (tiket {ticket})"
"""Every answer carries its own number, so that a second copy of one can be told from two like answers."""

BACK_AGAIN = "Maaf kak, satu lagi soal {order}."

FIRST_NAMES = (
    *(
        "Siti",
        "Agus",
        "Dewi",
        "Rizky",
        "Putri",
        "Andi",
        "Nurul",
        "Bayu",
        "Wulan",
        "Hadi",
        "Intan",
        "Yusuf",
        "Made",
    ),
    *(
        "Ketut",
        "Ujang",
        "Ratna",
        "Eko",
        "Lina",
        "Teguh",
        "Maya",
        "Reza",
        "Tuti",
        "Bambang",
        "Nadia",
        "Slamet",
    ),
)
LAST_NAMES = (
    *("Wijaya", "Saputra", "Lestari", "Hidayat", "Siregar", "Nasution", "Pratama", "Kusuma", "Rahmawati"),
    *("Simanjuntak", "Gunawan", "Hasanah", "Setiawan", "Tanjung", "Wibowo", "Permata", "Halim", "Yuliana"),
)
AGENT_NAMES = (
    *(
        "Ayu Lestari",
        "Budi Santoso",
        "Citra Dewi",
        "Dimas Prakoso",
        "Eka Wulandari",
        "Fajar Nugroho",
        "Gita Permata",
    ),
    *(
        "Hendra Wijaya",
        "Indah Sari",
        "Joko Susilo",
        "Kartika Putri",
        "Lukman Hakim",
        "Mega Utami",
        "Nanda Rizal",
    ),
)
