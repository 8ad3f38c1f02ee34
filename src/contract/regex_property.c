/*
 * regex_property: the names of \p{…} that ECMA-262 knows, and PCRE2's for them.
 *
 * PCRE2 is lenient about spelling and has names of its own, so a name is looked up
 * here first, to the letter. Whether the installed PCRE2 knows a script is its own
 * to say: the table holds those of Unicode 17.
 */
#include "contract/regex_internal.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define NAMES_MAX 3

struct row {
    const char *pcre2;
    const char *names[NAMES_MAX];
};

/* General_Category: the only property whose values stand alone. */
static const struct row categories[] = {
    { "C", { "C", "Other" } },
    { "Cc", { "Cc", "Control", "cntrl" } },
    { "Cf", { "Cf", "Format" } },
    { "Cn", { "Cn", "Unassigned" } },
    { "Co", { "Co", "Private_Use" } },
    { "Cs", { "Cs", "Surrogate" } },
    { "L", { "L", "Letter" } },
    { "L&", { "LC", "Cased_Letter" } },
    { "Ll", { "Ll", "Lowercase_Letter" } },
    { "Lm", { "Lm", "Modifier_Letter" } },
    { "Lo", { "Lo", "Other_Letter" } },
    { "Lt", { "Lt", "Titlecase_Letter" } },
    { "Lu", { "Lu", "Uppercase_Letter" } },
    { "M", { "M", "Mark", "Combining_Mark" } },
    { "Mc", { "Mc", "Spacing_Mark" } },
    { "Me", { "Me", "Enclosing_Mark" } },
    { "Mn", { "Mn", "Nonspacing_Mark" } },
    { "N", { "N", "Number" } },
    { "Nd", { "Nd", "Decimal_Number", "digit" } },
    { "Nl", { "Nl", "Letter_Number" } },
    { "No", { "No", "Other_Number" } },
    { "P", { "P", "Punctuation", "punct" } },
    { "Pc", { "Pc", "Connector_Punctuation" } },
    { "Pd", { "Pd", "Dash_Punctuation" } },
    { "Pe", { "Pe", "Close_Punctuation" } },
    { "Pf", { "Pf", "Final_Punctuation" } },
    { "Pi", { "Pi", "Initial_Punctuation" } },
    { "Po", { "Po", "Other_Punctuation" } },
    { "Ps", { "Ps", "Open_Punctuation" } },
    { "S", { "S", "Symbol" } },
    { "Sc", { "Sc", "Currency_Symbol" } },
    { "Sk", { "Sk", "Modifier_Symbol" } },
    { "Sm", { "Sm", "Math_Symbol" } },
    { "So", { "So", "Other_Symbol" } },
    { "Z", { "Z", "Separator" } },
    { "Zl", { "Zl", "Line_Separator" } },
    { "Zp", { "Zp", "Paragraph_Separator" } },
    { "Zs", { "Zs", "Space_Separator" } },
};

static const struct row binaries[] = {
    { "ASCII", { "ASCII" } },
    { "AHex", { "ASCII_Hex_Digit", "AHex" } },
    { "Alpha", { "Alphabetic", "Alpha" } },
    { "Any", { "Any" } },
    { "Bidi_C", { "Bidi_Control", "Bidi_C" } },
    { "Bidi_M", { "Bidi_Mirrored", "Bidi_M" } },
    { "CI", { "Case_Ignorable", "CI" } },
    { "Cased", { "Cased" } },
    { "CWCF", { "Changes_When_Casefolded", "CWCF" } },
    { "CWCM", { "Changes_When_Casemapped", "CWCM" } },
    { "CWL", { "Changes_When_Lowercased", "CWL" } },
    { "CWT", { "Changes_When_Titlecased", "CWT" } },
    { "CWU", { "Changes_When_Uppercased", "CWU" } },
    { "Dash", { "Dash" } },
    { "DI", { "Default_Ignorable_Code_Point", "DI" } },
    { "Dep", { "Deprecated", "Dep" } },
    { "Dia", { "Diacritic", "Dia" } },
    { "Emoji", { "Emoji" } },
    { "EComp", { "Emoji_Component", "EComp" } },
    { "EMod", { "Emoji_Modifier", "EMod" } },
    { "EBase", { "Emoji_Modifier_Base", "EBase" } },
    { "EPres", { "Emoji_Presentation", "EPres" } },
    { "ExtPict", { "Extended_Pictographic", "ExtPict" } },
    { "Ext", { "Extender", "Ext" } },
    { "Gr_Base", { "Grapheme_Base", "Gr_Base" } },
    { "Gr_Ext", { "Grapheme_Extend", "Gr_Ext" } },
    { "Hex", { "Hex_Digit", "Hex" } },
    { "IDSB", { "IDS_Binary_Operator", "IDSB" } },
    { "IDST", { "IDS_Trinary_Operator", "IDST" } },
    { "IDC", { "ID_Continue", "IDC" } },
    { "IDS", { "ID_Start", "IDS" } },
    { "Ideo", { "Ideographic", "Ideo" } },
    { "Join_C", { "Join_Control", "Join_C" } },
    { "LOE", { "Logical_Order_Exception", "LOE" } },
    { "Lower", { "Lowercase", "Lower" } },
    { "Math", { "Math" } },
    { "NChar", { "Noncharacter_Code_Point", "NChar" } },
    { "Pat_Syn", { "Pattern_Syntax", "Pat_Syn" } },
    { "Pat_WS", { "Pattern_White_Space", "Pat_WS" } },
    { "QMark", { "Quotation_Mark", "QMark" } },
    { "Radical", { "Radical" } },
    { "RI", { "Regional_Indicator", "RI" } },
    { "STerm", { "Sentence_Terminal", "STerm" } },
    { "SD", { "Soft_Dotted", "SD" } },
    { "Term", { "Terminal_Punctuation", "Term" } },
    { "UIdeo", { "Unified_Ideograph", "UIdeo" } },
    { "Upper", { "Uppercase", "Upper" } },
    { "VS", { "Variation_Selector", "VS" } },
    { "space", { "White_Space", "space" } },
    { "XIDC", { "XID_Continue", "XIDC" } },
    { "XIDS", { "XID_Start", "XIDS" } },
    { "", { "Changes_When_NFKC_Casefolded", "CWKCF" } },
};

/* Every name and alias between blanks. */
static const char scripts[] =
    " Adlam Adlm Ahom Anatolian_Hieroglyphs Hluw Arabic Arab Armenian Armn Avestan Avst "
    "Balinese Bali Bamum Bamu Bassa_Vah Bass Batak Batk Bengali Beng Beria_Erfe Berf "
    "Bhaiksuki Bhks Bopomofo Bopo Brahmi Brah Braille Brai Buginese Bugi Buhid Buhd "
    "Canadian_Aboriginal Cans Carian Cari Caucasian_Albanian Aghb Chakma Cakm Cham Cherokee "
    "Cher Chorasmian Chrs Common Zyyy Coptic Copt Qaac Cuneiform Xsux Cypriot Cprt "
    "Cypro_Minoan Cpmn Cyrillic Cyrl Deseret Dsrt Devanagari Deva Dives_Akuru Diak Dogra Dogr "
    "Duployan Dupl Egyptian_Hieroglyphs Egyp Elbasan Elba Elymaic Elym Ethiopic Ethi Garay "
    "Gara Georgian Geor Glagolitic Glag Gothic Goth Grantha Gran Greek Grek Gujarati Gujr "
    "Gunjala_Gondi Gong Gurmukhi Guru Gurung_Khema Gukh Han Hani Hangul Hang Hanifi_Rohingya "
    "Rohg Hanunoo Hano Hatran Hatr Hebrew Hebr Hiragana Hira Imperial_Aramaic Armi Inherited "
    "Zinh Qaai Inscriptional_Pahlavi Phli Inscriptional_Parthian Prti Javanese Java Kaithi "
    "Kthi Kannada Knda Katakana Kana Kawi Kayah_Li Kali Kharoshthi Khar Khitan_Small_Script "
    "Kits Khmer Khmr Khojki Khoj Khudawadi Sind Kirat_Rai Krai Lao Laoo Latin Latn Lepcha "
    "Lepc Limbu Limb Linear_A Lina Linear_B Linb Lisu Lycian Lyci Lydian Lydi Mahajani Mahj "
    "Makasar Maka Malayalam Mlym Mandaic Mand Manichaean Mani Marchen Marc Masaram_Gondi Gonm "
    "Medefaidrin Medf Meetei_Mayek Mtei Mende_Kikakui Mend Meroitic_Cursive Merc "
    "Meroitic_Hieroglyphs Mero Miao Plrd Modi Mongolian Mong Mro Mroo Multani Mult Myanmar "
    "Mymr Nabataean Nbat Nag_Mundari Nagm Nandinagari Nand New_Tai_Lue Talu Newa Nko Nkoo "
    "Nushu Nshu Nyiakeng_Puachue_Hmong Hmnp Ogham Ogam Ol_Chiki Olck Ol_Onal Onao "
    "Old_Hungarian Hung Old_Italic Ital Old_North_Arabian Narb Old_Permic Perm Old_Persian "
    "Xpeo Old_Sogdian Sogo Old_South_Arabian Sarb Old_Turkic Orkh Old_Uyghur Ougr Oriya Orya "
    "Osage Osge Osmanya Osma Pahawh_Hmong Hmng Palmyrene Palm Pau_Cin_Hau Pauc Phags_Pa Phag "
    "Phoenician Phnx Psalter_Pahlavi Phlp Rejang Rjng Runic Runr Samaritan Samr Saurashtra "
    "Saur Sharada Shrd Shavian Shaw Siddham Sidd Sidetic Sidt SignWriting Sgnw Sinhala Sinh "
    "Sogdian Sogd Sora_Sompeng Sora Soyombo Soyo Sundanese Sund Sunuwar Sunu Syloti_Nagri "
    "Sylo Syriac Syrc Tagalog Tglg Tagbanwa Tagb Tai_Le Tale Tai_Tham Lana Tai_Viet Tavt "
    "Tai_Yo Tayo Takri Takr Tamil Taml Tangsa Tnsa Tangut Tang Telugu Telu Thaana Thaa Thai "
    "Tibetan Tibt Tifinagh Tfng Tirhuta Tirh Todhri Todr Tolong_Siki Tols Toto Tulu_Tigalari "
    "Tutg Ugaritic Ugar Unknown Zzzz Vai Vaii Vithkuqi Vith Wancho Wcho Warang_Citi Wara "
    "Yezidi Yezi Yi Yiii Zanabazar_Square Zanb ";

static const char *find_row(const struct row *rows, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t n = 0; n < NAMES_MAX && rows[i].names[n]; n++) {
            if (str_equal(name, str_from(rows[i].names[n])))
                return rows[i].pcre2;
        }
    }
    return NULL;
}

static bool is_script(struct str name)
{
    char word[REGEX_PROPERTY_MAX + 3];
    if (!name.len || name.len > REGEX_PROPERTY_MAX)
        return false;
    snprintf(word, sizeof(word), " %.*s ", STR_ARG(name));
    return strstr(scripts, word);
}

static bool is_either(struct str name, const char *text, const char *alias)
{
    return str_equal(name, str_from(text)) || str_equal(name, str_from(alias));
}

static bool find_script(struct str kind, struct str value, struct regex_property *ret)
{
    bool extensions = is_either(kind, "Script_Extensions", "scx");
    if ((!extensions && !is_either(kind, "Script", "sc")) || !is_script(value))
        return false;
    *ret = (struct regex_property){ .prefix = extensions ? "scx:" : "sc:", .name = value };
    return true;
}

bool regex_property(struct str name, bool has_value, struct str value, struct regex_property *ret)
{
    const char *pcre2 = NULL;
    bool negated = false;
    if (has_value && !is_either(name, "General_Category", "gc"))
        return find_script(name, value, ret);
    if (has_value) {
        pcre2 = find_row(categories, ARRAY_LEN(categories), value);
    } else if (str_equal(name, STR("Assigned"))) {
        pcre2 = "Cn";
        negated = true;
    } else {
        pcre2 = find_row(categories, ARRAY_LEN(categories), name);
        if (!pcre2)
            pcre2 = find_row(binaries, ARRAY_LEN(binaries), name);
    }
    if (!pcre2)
        return false;
    *ret = (struct regex_property){ .prefix = "", .name = str_from(pcre2), .negated = negated };
    return true;
}

/* What Unicode calls an identifier, PCRE2 knows. */
static bool is_wide_identifier(struct str name)
{
    static const char pattern[] = "^[\\p{IDS}$_][\\p{IDC}$\\x{200c}\\x{200d}]*\\z";
    int error;
    PCRE2_SIZE offset;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &error, &offset, NULL);
    pcre2_match_data *data = code ? pcre2_match_data_create(1, NULL) : NULL;
    bool found = data && pcre2_match(code, (PCRE2_SPTR)name.ptr, name.len, 0, 0, data, NULL) > 0;
    pcre2_match_data_free(data);
    pcre2_code_free(code);
    return found;
}

bool regex_is_identifier(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '$' || c == '_';
        if ((unsigned char)c >= 0x80)
            return is_wide_identifier(name);
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return name.len > 0;
}
